// `private_key_jwt` done wrong: each assertion differs in one thing from a good one, and none is taken.
import assert from "node:assert/strict";
import { jose } from "./packages.mjs";

const [site, id, otherId, own, other] = process.argv.slice(2);
const endpoint = `${site}/oauth/token`;
const [ownKey, otherKey] = await Promise.all([own, other].map((jwk) => jose.importJWK(JSON.parse(jwk), "ES256")));

let count = 0;
const now = () => Math.floor(Date.now() / 1000);
const good = () => ({ iss: id, sub: id, aud: site, jti: `assertion ${++count}`, iat: now(), exp: now() + 60 });
const signed = (claims, header = {}, key = ownKey) =>
	new jose.SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "p256", ...header }).sign(key);

const ask = async (assertion, more = {}) => {
	const body = new URLSearchParams({
		grant_type: "client_credentials",
		client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		client_assertion: assertion,
		...more,
	});
	const response = await fetch(endpoint, { method: "POST", body });
	return { status: response.status, ...(await response.json()) };
};

const taken = async (what, assertion, more) => assert.equal((await ask(assertion, more)).status, 200, what);
const refused = async (what, assertion, more) => {
	const { status, error } = await ask(assertion, more);
	assert.deepEqual([status, error], [401, "invalid_client"], what);
};

await taken("for the issuer", await signed(good()));
await taken("for the token endpoint", await signed({ ...good(), aud: endpoint }));
await taken("for a list of one", await signed({ ...good(), aud: [site] }));
await taken("with a type", await signed(good(), { typ: "client-authentication+jwt" }));
await taken("with its id beside", await signed(good()), { client_id: id });

const once = await signed(good());
await taken("once", once);
await refused("a replay", once);
const same = { ...good(), jti: "the same" };
await taken("an id", await signed(same));
await refused("the same id in another assertion", await signed({ ...same, exp: now() + 120 }));
// Of many at once only one wins.
const race = await signed(good());
const raced = await Promise.all(Array.from({ length: 8 }, () => ask(race)));
assert.equal(raced.filter(({ status }) => status === 200).length, 1, "a race");

const { jti: _, ...nameless } = good();
const { exp: __, ...endless } = good();
for (const [what, assertion, more] of [
	["another audience", await signed({ ...good(), aud: "https://other.test" })],
	["several audiences", await signed({ ...good(), aud: [site, "https://other.test"] })],
	["expired", await signed({ ...good(), exp: now() - 1 })],
	["for too long", await signed({ ...good(), exp: now() + 3600 })],
	["without an end", await signed(endless)],
	["without an id", await signed(nameless)],
	["not valid yet", await signed({ ...good(), nbf: now() + 120 })],
	["from another issuer", await signed({ ...good(), iss: otherId })],
	["for another client", await signed({ ...good(), iss: otherId, sub: otherId })],
	["for nobody", await signed({ ...good(), iss: "nobody", sub: "nobody" })],
	["another client's key", await signed(good(), {}, otherKey)],
	["another kid", await signed(good(), { kid: "other" })],
	["an access token's type", await signed(good(), { typ: "at+jwt" })],
	["a key of its own", await signed(good(), { jwk: JSON.parse(own) })],
	["a key from elsewhere", await signed(good(), { jku: `${site}/.well-known/jwks.json` })],
	["no signature", new jose.UnsecuredJWT(good()).encode()],
	["the public key as a secret", await signed(good(), { alg: "HS256" }, new TextEncoder().encode(own))],
	["another client's id beside", await signed(good()), { client_id: otherId }],
	["no JWT", "nonsense"],
]) {
	await refused(what, assertion, more);
}
// Good once more: what was refused used nothing up.
await taken("after all that", await signed(good()));
