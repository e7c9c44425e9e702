// Run by browser.rs: `node sign-in.mjs URL`. Fails by throwing.
import assert from "node:assert/strict";
import { withBrowser } from "./launch.mjs";

const url = process.argv[2];

await withBrowser({}, async (context) => {
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => {
    // Browsers ask for an icon unbidden.
    const isIcon = message.location().url.endsWith("/favicon.ico");
    if (message.type() === "error" && !isIcon) problems.push(message.text());
  });

  // A stranger is led to the sign-in page, and told when the password is wrong.
  await page.goto(`${url}/app/report?month=5`);
  assert.match(page.url(), /\/auth\/login\?return_to=/);
  await page.getByLabel(/e-?mail/i).fill("bob@example.test");
  await page.getByLabel(/password/i).fill("wrong horse");
  await page.getByRole("button", { name: /sign in/i }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await page.getByLabel(/e-?mail/i).inputValue(), "bob@example.test", "the address is kept");
  problems.length = 0;

  // With the right one they land where they wanted to go.
  await page.getByLabel(/password/i).fill("correct horse battery staple");
  await page.getByRole("button", { name: /sign in/i }).click();
  await page.waitForURL(`${url}/app/report?month=5`);
  assert.match(await page.content(), /bob@example\.test|user/);

  const cookies = await context.cookies();
  for (const name of ["__Host-Http-access", "__Host-Http-refresh"]) {
    const cookie = cookies.find((cookie) => cookie.name === name);
    assert.ok(cookie, `${name} is stored`);
    assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === "Lax" && cookie.path === "/", JSON.stringify(cookie));
  }
  assert.equal(await page.evaluate(() => document.cookie), "", "no script reads a session cookie");

  // Signing out ends it, and the back button shows nothing of it.
  await page.getByRole("button", { name: /sign out/i }).click();
  await page.waitForLoadState();
  assert.equal((await context.cookies()).filter((cookie) => cookie.name.startsWith("__Host-Http-")).length, 0);
  await page.goto(`${url}/app/report?month=5`);
  assert.match(page.url(), /\/auth\/login\?return_to=/);
  assert.deepEqual(problems, [], "no error in the console");

  // A double click is one sign-in.
  await page.getByLabel(/e-?mail/i).fill("bob@example.test");
  await page.getByLabel(/password/i).fill("correct horse battery staple");
  await page.getByRole("button", { name: /sign in/i }).dblclick();
  await page.waitForURL(`${url}/app/report?month=5`);
  const sessions = await page.evaluate(async () => (await fetch("/auth/sessions")).json());
  assert.equal(sessions.length, 1, JSON.stringify(sessions));
});
