// Run by browser.rs: `node demo-id.mjs URL PROVIDER FOLDER`, with the addresses of the site and of Demo ID, and a folder for
// screenshots. Fails by throwing.
import assert from "node:assert/strict";
import { withBrowser } from "./launch.mjs";

const [url, provider, folder] = process.argv.slice(2);
const place = `${url}/app/report?month=5&x=%26#part-2`;

await withBrowser({}, async (context) => {
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => {
    // Browsers ask for an icon unbidden.
    const isIcon = message.location().url.endsWith("/favicon.ico");
    if (message.type() === "error" && !isIcon) problems.push(message.text());
  });
  const shoot = (name) => page.screenshot({ path: `${folder}/demo-id-${name}.png` });
  const typeName = async (page, name) => {
    await page.getByLabel("Name").fill(name);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  const toProvider = async (page) => {
    await page.getByRole("link", { name: "Sign in with Demo ID" }).click();
    await page.waitForURL(`${provider}/**`);
  };

  // From a guarded page by the sign-in page and the provider's page back to it, with query and fragment.
  await page.goto(place);
  await page.waitForURL(`${url}/auth/login?**`);
  await shoot("1-sign-in");
  await toProvider(page);
  await shoot("2-provider");
  await typeName(page, "Zoë Smith");
  await page.waitForURL(place);
  await page.getByText("What arrived here").waitFor();
  await shoot("3-back");
  const user = async () => page.evaluate(async () => (await (await fetch("/auth/session")).json()).user);
  assert.equal((await user()).email, "zoe.smith@example.test");
  const names = async () => (await context.cookies(url)).map((cookie) => cookie.name).filter((name) => name.startsWith("__Host-")).sort();
  assert.deepEqual(await names(), ["__Host-Http-access", "__Host-Http-refresh"], "nothing of the sign-in is left");

  // Signing out leads through the provider, and back.
  await page.getByRole("button", { name: /sign out/i }).click();
  await page.waitForURL(`${provider}/**`);
  await shoot("4-sign-out");
  await page.getByRole("button", { name: "Yes, sign me out" }).click();
  await page.waitForURL(`${url}/`);
  assert.deepEqual(await names(), []);

  // The provider has forgotten as well: it asks again. Who cancels gets a page from which the way is not lost.
  await page.goto(place);
  await toProvider(page);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.waitForURL(`${url}/auth/callback/demo?**`);
  await shoot("5-cancelled");
  problems.length = 0; // The page of a refusal has its status.
  await page.getByRole("link", { name: "Sign in" }).click();
  await toProvider(page);
  await typeName(page, "Zoë Smith");
  await page.waitForURL(place);

  // Five tabs at once.
  await context.clearCookies();
  const tabs = await Promise.all([1, 2, 3, 4, 5].map(async (number) => {
    const tab = await context.newPage();
    await tab.goto(`${url}/app/${number}?tab=${number}#${number}`);
    return { number, tab };
  }));
  for (const { tab } of tabs) await toProvider(tab);
  for (const { tab, number } of tabs.toReversed()) {
    await typeName(tab, `Tab ${number}`);
    await tab.waitForURL(`${url}/app/${number}?tab=${number}#${number}`);
  }
  assert.deepEqual(problems, [], "no error in the console");
});
