// Run by browser.rs: `node way-back.mjs URL`. Fails by throwing.
import assert from "node:assert/strict";
import { withBrowser } from "./launch.mjs";

const url = process.argv[2];

const printable = Array.from({ length: 0x7e - 0x20 }, (_, at) => String.fromCharCode(0x21 + at));
const without = (odd) => printable.filter((char) => !odd.includes(char)).join("");

// What stands in the address bar, or in a link. The edge refuses `\`, `;` and `%` without digits in a path.
const wanted = [
  `/app/p?q#f`,
  `/app/p?q=${without("#")}`,
  `/app/p#${printable.join("")}`,
  `/app/${without("\\;%?#/")}?q#f`,
  `/app/a b"<>é€😀?a b"<>'é€😀#a b"<>'\`é€😀`,
  `/app/p?a=%22%27%3C%3E%23%20%C3%A9%E9%00%0a%zz%#%zz%00%23`,
  `/app/p?\\..\\auth\\login#\\..\\auth`,
  `/app/a\tb\nc?d\te\nf#g\th\ni`,
  `/app/./x/../p?/../#/../`,
  `/app/p?#`,
  `/app/p?return_to=//evil.test#return_to=//evil.test`,
  `/app/p?${"q".repeat(7_900)}#${"f".repeat(2_000)}`,
];

await withBrowser({}, async (context) => {
  const page = await context.newPage();
  const signIn = async (password) => {
    await page.getByLabel(/e-?mail/i).fill("bob@example.test");
    await page.getByLabel(/password/i).fill(password);
    await page.getByRole("button", { name: /sign in/i }).click();
  };
  for (const address of wanted) {
    await context.clearCookies();
    // As a link: the browser itself spells it. From a fresh page, for a fragment alone would be no navigation.
    await page.goto(`${url}/`);
    const spelled = await page.evaluate((address) => new URL(address, location).href, address);
    const sent = page.waitForRequest((request) => request.url().startsWith(`${url}/app/`));
    await page.evaluate((address) => location.assign(address), address);
    const query = new URL((await sent).url()).search;
    await page.waitForURL(`${url}/auth/login?**`);
    await signIn("wrong horse");
    await page.getByRole("alert").waitFor();
    await signIn("correct horse battery staple");
    await page.waitForURL(`${url}/app/**`);

    const came = new URL(page.url());
    const expected = new URL(spelled);
    assert.equal(came.search, query, `the query of ${address}`);
    assert.equal(came.search, expected.search, `the query of ${address}`);
    assert.equal(came.hash, expected.hash, `the fragment of ${address}`);
    // The edge spells paths in one way, before it asks who comes.
    assert.equal(decodeURIComponent(came.pathname), decodeURIComponent(expected.pathname), `the path of ${address}`);
    await page.getByText("What arrived here").waitFor();
  }

  // What cannot be led back to stays in the address bar, and says so.
  await context.clearCookies();
  const long = `${url}/app/p?${"q".repeat(8_000)}`;
  await page.goto(long);
  await page.getByText(/too long/).waitFor();
  assert.equal(page.url(), long);
  await page.getByRole("link", { name: "Sign in" }).click();
  await signIn("correct horse battery staple");
  await page.waitForURL(`${url}/`);
  await page.goto(long);
  await page.getByText("What arrived here").waitFor();

  // The sign-in page leads to none of its own kind.
  for (const own of ["/auth/login", "/auth/logout", "/oauth/token", "/AUTH/login", "/%61uth/login", "/x/../auth/login", "/./auth/login"]) {
    await context.clearCookies();
    await page.goto(`${url}/auth/login?return_to=${encodeURIComponent(own)}`);
    await signIn("correct horse battery staple");
    await page.waitForURL(`${url}/`);
  }
});
