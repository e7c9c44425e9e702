// The same reverse proxy, which keeps shared caches from storing the answers of an origin that says nothing of caches.
let origin;

export default {
	async fetch(request, env) {
		origin ??= new URL(env.ORIGIN_URL);
		const url = new URL(request.url);
		url.host = origin.host;
		const response = await fetch(url.toString(), request);
		const answer = new Response(response.body, response);
		answer.headers.set("Cache-Control", "private");
		return answer;
	},
};
