// Run by browser.rs: `node cross-origin.mjs SITE PAGE TOKEN CODE`. A script of PAGE, which is another site, calls SITE with
// TOKEN and reads CODE: `ok`, or that of a problem. Fails by throwing.
import assert from "node:assert/strict";
import { withBrowser } from "./launch.mjs";

const [site, page, token, code] = process.argv.slice(2);

await withBrowser({}, async (context) => {
  const tab = await context.newPage();
  await tab.goto(page);
  const call = (path, init) =>
    tab.evaluate(
      async ([url, init]) => {
        try {
          const answer = await fetch(url, init);
          const challenge = answer.headers.get("www-authenticate");
          return { status: answer.status, challenge, body: await answer.json() };
        } catch (error) {
          return { error: error.name };
        }
      },
      [site + path, init],
    );
  const authorization = `Bearer ${token}`;

  // Each of these is preceded by a preflight.
  for (const method of ["GET", "PUT"]) {
    const answer = await call("/api/x", { method, headers: { authorization } });
    const found = answer.status === 200 ? "ok" : answer.body?.code;
    assert.equal(found, code, JSON.stringify(answer));
    if (code === "ok") assert.equal(answer.body.method, method);
    else assert.match(answer.challenge, /error="invalid_token"/);
  }

  // This one is not, and its refusal is readable too.
  const missing = await call("/api/x", {});
  assert.equal(missing.body?.code, "unauthenticated", JSON.stringify(missing));

  // What the rule does not name is stopped by the browser: a method, a header, credentials, a route without CORS.
  const unnamed = [
    ["/api/x", { method: "DELETE", headers: { authorization } }],
    ["/api/x", { headers: { authorization, "x-other": "1" } }],
    ["/api/x", { headers: { authorization }, credentials: "include" }],
    ["/app/x", { headers: { authorization } }],
  ];
  for (const [path, init] of unnamed) {
    assert.deepEqual(await call(path, init), { error: "TypeError" }, `${path} ${JSON.stringify(Object.keys(init))}`);
  }
});
