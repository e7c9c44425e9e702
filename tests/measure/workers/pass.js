// A reverse proxy that guards nothing, as Cloudflare's documentation writes it ("Bulk origin override").
let origin;

export default {
	async fetch(request, env) {
		origin ??= new URL(env.ORIGIN_URL);
		const url = new URL(request.url);
		url.host = origin.host;
		return fetch(url.toString(), request);
	},
};
