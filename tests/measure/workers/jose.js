// What people write today: jose's jwtVerify on the access cookie, the key imported once per isolate; with a KV binding
// REVOKED also one look whether the session was revoked.
import { importJWK, jwtVerify } from "./jose/index.js";

const NAME = "__Host-Http-access=";
let key;

export default {
	async fetch(request, env) {
		try {
			const token = access(request.headers.get("cookie"));
			// Two first requests may both import it; waiting for another request's promise is worse.
			if (key === undefined) key = await importKey(env);
			const options = { issuer: env.PUBLIC_URL, audience: env.PUBLIC_URL, typ: "at+jwt", algorithms: [env.ALGORITHM] };
			const { payload } = await jwtVerify(token, key, options);
			const revoked = env.REVOKED === undefined ? null : await env.REVOKED.get(`revoked:${payload.sid}`);
			if (revoked !== null) return new Response("revoked", { status: 401 });
			return new Response(null, { headers: { "x-measure": "jose" } });
		} catch (error) {
			return new Response(String(error), { status: 401 });
		}
	},
};

function access(cookies) {
	const start = cookies.indexOf(NAME) + NAME.length;
	const end = cookies.indexOf(";", start);
	return cookies.slice(start, end < 0 ? undefined : end);
}

function importKey(env) {
	if (env.ALGORITHM === "EdDSA") return importJWK(env.JWK, "EdDSA");
	const secret = new TextEncoder().encode(env.JWT_SECRET);
	return crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
}
