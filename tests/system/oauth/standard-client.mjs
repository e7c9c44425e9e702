// A client that others wrote (npm oauth4webapi) knows nothing of Portcullis but its address, and gets along.
import assert from "node:assert/strict";
import { jose, oauth } from "./packages.mjs";

const [site, secretClient, secret, keyClients, refreshToken] = process.argv.slice(2);
const insecure = { [oauth.allowInsecureRequests]: true };

// RFC 8414.
const issuer = new URL(site);
const discovered = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure });
const server = await oauth.processDiscoveryResponse(issuer, discovered);
assert.equal(server.jwks_uri, `${site}/.well-known/jwks.json`);
const keys = jose.createRemoteJWKSet(new URL(server.jwks_uri));

const verified = async (token) => {
	const { payload } = await jose.jwtVerify(token, keys, { issuer: site, audience: site, typ: "at+jwt" });
	return payload;
};

const own = async (client, proof, scope) => {
	const asked = await oauth.clientCredentialsGrantRequest(server, client, proof, { scope }, insecure);
	return await oauth.processClientCredentialsResponse(server, client, asked);
};

// client_credentials by secret, in both ways.
const client = { client_id: secretClient };
for (const proof of [oauth.ClientSecretBasic(secret), oauth.ClientSecretPost(secret)]) {
	const { access_token, token_type, expires_in, scope } = await own(client, proof, "orders:read");
	assert.deepEqual([token_type, scope], ["bearer", "orders:read"]);
	assert.ok(expires_in > 890 && expires_in <= 900, `${expires_in}`);
	const claims = await verified(access_token);
	assert.deepEqual([claims.client_id, claims.sub, claims.scope], [secretClient, secretClient, "orders:read"]);
}
await assert.rejects(own(client, oauth.ClientSecretBasic("A".repeat(43)), "orders:read"), oauth.WWWAuthenticateChallengeError);
await assert.rejects(own(client, oauth.ClientSecretBasic(secret), "orders:all"), (error) => error.error === "invalid_scope");

// private_key_jwt, with Ed25519 and with P-256.
for (const { id, jwk } of JSON.parse(keyClients)) {
	const key = await jose.importJWK(jwk, jwk.crv === "P-256" ? "ES256" : "EdDSA");
	const proof = oauth.PrivateKeyJwt({ key, kid: jwk.kid });
	const { access_token } = await own({ client_id: id }, proof, "orders:read");
	assert.equal((await verified(access_token)).client_id, id);
	// Another assertion each time.
	await own({ client_id: id }, proof, "orders:read");
}

// refresh_token: a program that signed in with JSON, a client without a secret.
const program = { client_id: "browser" };
const refreshed = async (token) => {
	const asked = await oauth.refreshTokenGrantRequest(server, program, oauth.None(), token, insecure);
	return await oauth.processRefreshTokenResponse(server, program, asked);
};
const first = await refreshed(refreshToken);
assert.notEqual(first.refresh_token, refreshToken);
const second = await refreshed(first.refresh_token);
const { sid } = await verified(second.access_token);

// Introspection, by the service that is registered for it.
const introspected = async (token) => {
	const asked = await oauth.introspectionRequest(server, client, oauth.ClientSecretBasic(secret), token, insecure);
	return await oauth.processIntrospectionResponse(server, client, asked);
};
const told = await introspected(second.access_token);
assert.deepEqual([told.active, told.sid, told.client_id], [true, sid, "browser"]);
assert.deepEqual(await introspected("nonsense"), { active: false });
assert.deepEqual(await introspected(second.refresh_token), { active: false });

// Revocation: the refresh token's session ends.
const revoked = async (who, proof, token) => {
	const asked = await oauth.revocationRequest(server, who, proof, token, insecure);
	return await oauth.processRevocationResponse(asked);
};
await revoked(program, oauth.None(), "nonsense");
await revoked(program, oauth.None(), second.refresh_token);
assert.deepEqual(await introspected(second.access_token), { active: false });
await assert.rejects(refreshed(second.refresh_token), (error) => error.error === "invalid_grant" && error.cause.code === "session_ended");

// The service's own token.
const { access_token: last } = await own(client, oauth.ClientSecretBasic(secret), "orders:read");
assert.equal((await introspected(last)).scope, "orders:read");
await revoked(client, oauth.ClientSecretPost(secret), last);
assert.deepEqual(await introspected(last), { active: false });
