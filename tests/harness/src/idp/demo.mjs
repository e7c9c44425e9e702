// "Demo ID": an OpenID provider for `cargo dev` and tests, where any name signs in without a password. Never for anything else.
//
// Run by demo.rs, as `node demo.mjs` with DEMO_ID = {"port", "site", "provider", "clientId", "clientSecret"} and
// NPM_MODULES = the folder with `oidc-provider` (certified by the OpenID Foundation). It has one client: `site`.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const { port, site, provider: name, clientId, clientSecret } = JSON.parse(process.env.DEMO_ID);
const issuer = `http://127.0.0.1:${port}`;
const library = pathToFileURL(`${process.env.NPM_MODULES}/oidc-provider/lib/index.js`);
const { Provider } = await import(library);

// What people said of themselves when they signed in last, by subject.
const people = new Map();

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      client_name: site,
      redirect_uris: [`${site}/auth/callback/${name}`],
      post_logout_redirect_uris: [`${site}/`, `${site}/auth/login`],
      backchannel_logout_uri: `${site}/auth/backchannel-logout/${name}`,
      backchannel_logout_session_required: true,
    },
  ],
  claims: {
    openid: ["sub"],
    email: ["email", "email_verified"],
    profile: ["name", "groups"],
  },
  cookies: { keys: [randomBytes(32).toString("hex")] },
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
  },
  // Without the library's own dispatcher, which reaches no address of this machine: here the site is one.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  findAccount: (_, subject) => ({ accountId: subject, claims: () => ({ ...claimsOf(subject), ...people.get(subject) }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  jwks: { keys: [{ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256" }] },
  // The site is the provider's own: nobody is asked for consent.
  loadExistingGrant,
  pkce: { required: () => true },
  renderError: (ctx, out) => {
    ctx.type = "html";
    ctx.body = page("This did not work", `<p>${escaped(out.error_description ?? out.error)}</p>`);
  },
  ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 3600, Session: 86400 },
});

const answer = provider.callback();
createServer((request, response) => {
  const [, uid, action] = /^\/interaction\/([\w-]+)(\/cancel)?$/.exec(request.url) ?? [];
  if (uid === undefined) return answer(request, response);
  const interact = request.method === "POST" ? (action ? cancel : signIn) : ask;
  interact(request, response, uid).catch((error) => {
    console.error(error);
    send(response, 400, page("This did not work", `<p>${escaped(error.error_description ?? error.message)}</p>`));
  });
}).listen(port, "127.0.0.1");

async function ask(request, response, uid) {
  // Fails unless this browser began it.
  await provider.interactionDetails(request, response);
  send(response, 200, page(
    "Demo ID",
    `<p>Any name signs in at <strong>${escaped(site)}</strong>, without a password.</p>
     <form method="post" action="/interaction/${uid}">
       <label>Name <input name="name" autocomplete="off" autofocus required maxlength="60"></label>
       <label>Groups <input name="groups" autocomplete="off" value="staff"></label>
       <button>Sign in</button>
     </form>
     <form method="post" action="/interaction/${uid}/cancel"><button class="quiet">Cancel</button></form>`,
  ));
}

async function signIn(request, response) {
  const form = await formOf(request);
  const name = (form.get("name") ?? "").trim();
  const subject = subjectOf(name);
  const groups = (form.get("groups") ?? "").split(",").map((group) => group.trim()).filter(Boolean);
  people.set(subject, { name, groups });
  await provider.interactionFinished(request, response, { login: { accountId: subject } });
}

async function cancel(request, response) {
  const refusal = { error: "access_denied", error_description: "the user cancelled" };
  await provider.interactionFinished(request, response, refusal);
}

// The part of the address before `@`: "Zoë Smith" is zoe.smith.
function subjectOf(name) {
  const plain = name.normalize("NFKD").toLowerCase().replace(/\p{M}/gu, "");
  const subject = plain.replace(/[^a-z0-9]+/g, ".").replace(/^\.+|\.+$/g, "");
  return subject || `u${Buffer.from(name).toString("hex")}`;
}

function claimsOf(subject) {
  return { sub: subject, name: subject, email: `${subject}@example.test`, email_verified: true, groups: [] };
}

async function loadExistingGrant(ctx) {
  const { client, session, result } = ctx.oidc;
  const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const found = known && (await provider.Grant.find(known));
  if (found) return found;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope("openid email profile");
  await grant.save();
  return grant;
}

function logoutSource(ctx, form) {
  ctx.type = "html";
  ctx.body = page(
    "Sign out",
    `${form}<p>Sign out of Demo ID too?</p>
     <button autofocus type="submit" form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>
     <button class="quiet" type="submit" form="op.logoutForm">No, stay signed in</button>`,
  );
}

function postLogoutSuccessSource(ctx) {
  ctx.type = "html";
  ctx.body = page("Signed out", `<p>You are signed out of Demo ID.</p>`);
}

async function formOf(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 10_000) throw new Error("the form is too long");
  }
  return new URLSearchParams(text);
}

function send(response, status, html) {
  response.writeHead(status, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" });
  response.end(html);
}

function page(title, body) {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
  body { background: #f4f1ea; color: #222; font: 16px/1.5 system-ui, sans-serif; margin: 12vh auto; max-width: 22rem; padding: 0 1rem }
  label { display: block; margin: .8rem 0 } input { box-sizing: border-box; display: block; font: inherit; padding: .5rem; width: 100% }
  button { background: #7a3e00; border: 0; color: #fff; cursor: pointer; font: inherit; margin-top: .6rem; padding: .6rem; width: 100% }
  .quiet { background: none; color: #7a3e00; text-decoration: underline }
</style></head>
<body><h1>${title}</h1>${body}</body></html>`;
}

function escaped(text) {
  return String(text).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
