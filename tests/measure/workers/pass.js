// A reverse proxy that guards nothing: the least that forwarding can cost.
export default {
	fetch(request, env) {
		return fetch(env.ORIGIN_URL + request.url.slice(request.url.indexOf("/", "https://".length)), request);
	},
};
