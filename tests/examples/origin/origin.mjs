// An origin that lets in only what the edge vouches for: a middleware checks `Portcullis-Assertion` with jose.
//
//     npm install jose
//     ORIGIN_SECRET=… PUBLIC_URL=https://app.example.test PORT=8090 node origin.mjs
//
// The other `Portcullis-*` headers say the same without proof; an origin that only the edge can reach may read those.
import { createHash, hkdfSync } from "node:crypto";
import { createServer } from "node:http";
import { jwtVerify } from "jose";

const { ORIGIN_SECRET, PUBLIC_URL, PORT = "8090" } = process.env;
if (!ORIGIN_SECRET || !PUBLIC_URL) throw new Error("ORIGIN_SECRET and PUBLIC_URL must be set");

// The site as its users see it: not the `Host` of a request, which says how the edge got here.
const site = PUBLIC_URL.replace(/\/$/, "");

// One secret, or `new,old` while it is being changed. HKDF-SHA-256 (RFC 5869) without salt.
const keys = ORIGIN_SECRET.split(",").map((secret) => new Uint8Array(hkdfSync("sha256", secret.trim(), "", "portcullis assertion v2", 32)));

// What the edge says of whoever sent the request; throws where it does not vouch for this very request.
async function check(token, method, target) {
	const claims = await verified(token);
	const request = createHash("sha256").update(`${method} ${site}${target}`).digest("base64url");
	if (claims.request_hash !== request) throw new Error("the assertion was made for another request");
	if (!isNew(claims)) throw new Error("the assertion came before");
	return claims;
}

async function verified(token) {
	let refusal = new Error("no key");
	for (const key of keys) {
		try {
			const { payload } = await jwtVerify(token, key, {
				issuer: site,
				audience: site,
				algorithms: ["HS256"],
				typ: "portcullis-assertion+jwt",
				requiredClaims: ["exp", "jti", "sub", "sid", "roles", "request_hash"],
			});
			return payload;
		} catch (error) {
			refusal = error;
		}
	}
	throw refusal;
}

// Assertions that came and have not expired, the oldest first. Several processes behind one edge need a place in common,
// such as Redis; where only the edge can reach the origin, none is needed.
const seen = new Map();

function isNew({ jti, exp }) {
	const now = Date.now() / 1000;
	for (const [old, until] of seen) {
		if (until > now) break;
		seen.delete(old);
	}
	if (seen.has(jti)) return false;
	seen.set(jti, exp);
	return true;
}

// Whoever has no good assertion for this very request is turned away.
function onlyVouched(handler) {
	return async (request, response) => {
		let user;
		try {
			// `request.url` is as it was sent: a path that was decoded and encoded again may be spelled differently.
			user = await check(request.headers["portcullis-assertion"] ?? "", request.method, request.url);
		} catch {
			response.writeHead(403, { "Content-Type": "text/plain" }).end("come through the edge\n");
			return;
		}
		handler(request, response, user);
	};
}

function hello(request, response, { sub, sid, roles }) {
	response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ sub, sid, roles }));
}

const server = createServer(onlyVouched(hello));
server.listen(Number(PORT), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${PORT}`));
