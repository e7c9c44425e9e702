// What the browser scripts share: the browser that CHROMIUM names, driven by the playwright of NPM_MODULES.
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { chromium } = createRequire(`${process.env.NPM_MODULES}/`)("playwright-core");

const options = {
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"],
};

// Runs `visit` with a fresh context of a browser with these preferences, as a user sets them in its settings.
export async function withBrowser(preferences, visit) {
  const folder = mkdtempSync(join(tmpdir(), "portcullis-browser-"));
  try {
    mkdirSync(join(folder, "Default"));
    writeFileSync(join(folder, "Default", "Preferences"), JSON.stringify(preferences));
    const context = await chromium.launchPersistentContext(folder, options);
    try {
      await visit(context);
    } finally {
      await context.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
