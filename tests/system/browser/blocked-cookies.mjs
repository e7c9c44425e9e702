// Run by browser.rs: `node blocked-cookies.mjs URL`. Fails by throwing.
import assert from "node:assert/strict";
import { withBrowser } from "./launch.mjs";

const url = process.argv[2];
const BLOCK = 2;

await withBrowser({ profile: { default_content_setting_values: { cookies: BLOCK } } }, async (context) => {
  const page = await context.newPage();
  const navigations = [];
  page.on("response", (response) => {
    if (response.request().isNavigationRequest()) navigations.push(`${response.status()} ${response.url()}`);
  });

  await page.goto(`${url}/app/report`);
  await page.getByLabel(/e-?mail/i).fill("bob@example.test");
  await page.getByLabel(/password/i).fill("correct horse battery staple");
  navigations.length = 0;
  await page.getByRole("button", { name: /sign in/i }).click();
  await page.getByText(/blocks cookies/).waitFor();

  assert.equal((await context.cookies()).length, 0, "the browser keeps no cookie");
  assert.match(page.url(), /\/app\/report$/, "it stays where the user wanted to go");
  assert.equal(navigations.length, 2, `the form, and the page that says what is wrong: ${navigations.join(", ")}`);
  // The way out leads back to the page.
  const again = await page.getByRole("link", { name: "Sign in" }).getAttribute("href");
  assert.match(again, /^\/auth\/login\?return_to=/);
});
