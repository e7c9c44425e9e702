// A reverse proxy that guards nothing: the least that forwarding can cost.
export default {
	fetch(request, env) {
		const url = env.ORIGIN_URL + request.url.slice(request.url.indexOf("/", "https://".length));
		return fetch(new Request(url, request));
	},
};
