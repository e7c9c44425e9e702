// The least that a guard could do: it reads the cookie header, checks nothing, and answers with one header.
export default {
	fetch(request) {
		const cookie = request.headers.get("cookie");
		return new Response(null, { headers: { "x-measure": cookie === null ? "no-cookie" : "floor" } });
	},
};
