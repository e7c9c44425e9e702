// Run by browser.rs: `node back.mjs URL`. Fails by throwing.
//
// Playwright switches off that Chromium keeps whole pages in memory for "Back" (bfcache): what is tried here is its HTTP cache.
import assert from "node:assert/strict";
import { withBrowser } from "./launch.mjs";

const url = process.argv[2];
const pages = ["/app/x", "/app/never/x"];

await withBrowser({}, async (context) => {
  const page = await context.newPage();
  const visit = async (path) => {
    await page.goto(`${url}/auth/login?return_to=${path}`);
    await page.getByLabel(/e-?mail/i).fill("bob@example.test");
    await page.getByLabel(/password/i).fill("correct horse battery staple");
    await page.getByRole("button", { name: /sign in/i }).click();
    await page.waitForURL(`${url}${path}`);
  };
  // Whether "Back" from the front page shows again what was guarded. If not the browser has asked, and got a way to sign in.
  const back = async () => {
    await page.goBack();
    const guarded = page.getByText("What arrived here");
    await guarded.or(page.getByRole("link", { name: "Sign in" })).waitFor();
    assert.match(page.url(), /\/app\//);
    return (await guarded.count()) > 0;
  };

  // Cookies that are gone without a sign-out: a page that the browser keeps shows again, unless the rule says no-store.
  for (const path of pages) {
    await visit(path);
    await page.goto(`${url}/`);
    await context.clearCookies();
    assert.equal(await back(), path === "/app/x", `${path}, without a sign-out`);
  }

  // A sign-out, by the page's form and by a script: neither page shows again.
  const byForm = () => page.getByRole("button", { name: /sign out/i }).click();
  const byScript = async () => {
    const status = await page.evaluate(async () => (await fetch("/auth/logout", { method: "POST" })).status);
    assert.equal(status, 204);
    await page.goto(`${url}/`);
  };
  for (const signOut of [byForm, byScript]) {
    for (const path of pages) {
      await visit(path);
      await signOut();
      await page.waitForURL(`${url}/`);
      assert.equal(await back(), false, `${path}, ${signOut.name}`);
    }
  }
});
