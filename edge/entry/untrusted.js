// Headers that no request takes with it, to whomever it goes: they would make a known framework take it for another
// request than the one that was checked.

// What the names begin with that only the edge, a proxy or a framework itself may write.
const FAMILIES = [
	"portcullis", // the edge
	"x-forwarded", // a proxy, of what the client wanted: host, scheme, port, prefix, path and method
	"x-middleware-", // Next.js, between its router and its middleware (CVE-2025-29927)
];

// Single ones, by who reads them.
const NAMES = new Set([
	// Of one hop only (RFC 9110 §7.6.1). `Connection` is not obeyed, only removed: it could name our headers, and whoever
	// obeyed it would drop them.
	"connection", // RFC 9110
	"keep-alive", // HTTP/1.0 (RFC 9112 appendix C.2.2)
	"proxy-connection", // HTTP/1.0 (RFC 9112 appendix C.2.2)

	// The method.
	"x-http-method-override", // Rack and Rails, Symfony and Laravel, Yii, Slim, WordPress, Plack, ASP.NET Core, method-override
	"x-http-method", // OData and SharePoint, method-override of Express
	"x-method-override", // IBM Maximo and TRIRIGA, method-override of Express
	"x-original-method", // Authelia and other backends of nginx's auth_request

	// The path.
	"x-original-url", // IIS URL Rewrite; Symfony, Zend, Drupal (CVE-2018-14773), WordPress
	"x-rewrite-url", // ISAPI_Rewrite; Symfony, Zend, Yii (CVE-2018-14773), WordPress
	"x-original-uri", // ingress-nginx and other backends of nginx's auth_request
	"x-waws-unencoded-url", // Azure App Service
	"x-ms-original-url", // Azure Static Web Apps; adapters of SvelteKit, Nuxt and Next.js
	"x-cf-forwarded-url", // Cloud Foundry's route services
	"x-envoy-original-path", // Envoy and Istio
	"x-matched-path", // Next.js and its adapters
	"x-now-route-matches", // Next.js, Nitro and Nuxt
	"x-invoke-path", // Next.js 13
	"x-invoke-query", // Next.js 13
	"x-astro-path", // Astro's Vercel adapter (GHSA-mr6q-rp88-fx84)
	"x-astro-locals", // Astro's Vercel adapter
	"x-traversal-path", // Plack::Middleware::ReverseProxyPath
	"path-info", // gunicorn (forwarder_headers)
	// A file elsewhere in its place.
	"x-sendfile-type", // Rack::Sendfile (CVE-2025-61780)
	"x-accel-mapping", // Rack::Sendfile (CVE-2025-61780)

	// The prefix under which an application believes to stand.
	"script-name", // gunicorn (forwarder_headers)
	"x-script-name", // Radicale, mod_wsgi-express, Flask's ReverseProxied
	"x-proxycontextpath", // Apache NiFi, Ambari, jupyter-server-proxy's applications
	"x-ingress-path", // Home Assistant's add-ons
	"x-masked-path", // Pantheon's domain masking

	// Host, port and scheme.
	"forwarded", // RFC 7239: Spring, ASP.NET, Symfony, Rack, Quarkus
	"x-host", // mod_wsgi-express
	"x-http-host-override", // PHP's own ways to find the host
	"x-original-host", // Azure Application Gateway, ngrok, ASP.NET Core
	"x-original-proto", // ASP.NET Core
	"x-original-prefix", // ASP.NET Core
	"x-envoy-original-host", // Envoy
	"disguised-host", // Azure App Service
	"x-proxyhost", // Apache NiFi
	"x-proxyport", // Apache NiFi
	"x-proxyscheme", // Apache NiFi
	"x-scheme", // Tornado, mod_wsgi-express, Flask's ReverseProxied
	"x-url-scheme", // Pylons and other WSGI applications
	"x-https", // mod_wsgi-express
	"https", // mod_wsgi-express
	"front-end-https", // Microsoft's ISA and TMG; CodeIgniter, Yii, phpMyAdmin
	"x-arr-ssl", // IIS Application Request Routing
	"x-appservice-proto", // Azure App Service
	"cloudfront-forwarded-proto", // Rack::CloudfrontHttpsHeader
	"wl-proxy-ssl", // WebLogic

	// The client's address, which the edge tells in `X-Forwarded-For`.
	"x-real-ip", // Rails, Laravel, chi, gin and most others behind nginx
	"true-client-ip", // Akamai's and Cloudflare Enterprise's origins; chi
	"client-ip", // Rails, CodeIgniter, Azure App Service
	"x-client-ip", // mod_wsgi-express, request-ip of Express
	"x-cluster-client-ip", // CodeIgniter, behind Rackspace and Riverbed
	"x-original-for", // ASP.NET Core
	"x-original-forwarded-for", // ingress-nginx
	"x-originating-ip", // Microsoft Exchange and its web mail
	"x-proxyuser-ip", // Yii
	"x-remote-ip", // PHP's own ways to find the client
	"x-remote-addr", // PHP's own ways to find the client
	"forwarded-for", // PHP's own ways to find the client
	"forwarded-for-ip", // PHP's own ways to find the client
	"proxy-client-ip", // WebLogic
	"wl-proxy-client-ip", // WebLogic
	"x-envoy-external-address", // Envoy and Istio
	"fastly-client-ip", // Fastly's origins
	"fly-client-ip", // Fly.io
	"x-azure-clientip", // Azure Front Door
	"x-azure-socketip", // Azure Front Door
	"x-appengine-user-ip", // Google App Engine
	"x-nf-client-connection-ip", // Netlify
	"x-vercel-forwarded-for", // Vercel
	"do-connecting-ip", // DigitalOcean

	"proxy", // CGI programs, as HTTP_PROXY: where their own requests go (CVE-2016-5385 and others)
]);

// Cloudflare writes these itself, in this spelling: there they are true. Elsewhere anybody does.
const OF_CLOUDFLARE = new Set([
	"cf-connecting-ip", // Cloudflare's origins
	"cf-connecting-ipv6", // Cloudflare's origins
	"cf-pseudo-ipv4", // Cloudflare's origins
	"cf-visitor", // Rails and WordPress behind Cloudflare, for the scheme
]);

// Whether the header `name`, in lower case, ends here. The same few names come again and again, so the answers are kept:
// bounded, for anybody can send any name.
export function endsHere(name, atCloudflare) {
	const answers = atCloudflare ? there : elsewhere;
	let ends = answers.get(name);
	if (ends === undefined) {
		if (answers.size >= 500) answers.clear();
		ends = isUntrusted(name, atCloudflare);
		if (name.length <= 100) answers.set(name, ends);
	}
	return ends;
}

const there = new Map();
const elsewhere = new Map();

// CGI (RFC 3875 §4.1.18), and with it PHP, WSGI and Rack, reads `X_Original.URL` as `X-Original-URL`: names are compared as
// if every character between the letters and digits were the same.
function isUntrusted(name, atCloudflare) {
	const folded = name.replace(/[^a-z0-9]/g, "-");
	if (OF_CLOUDFLARE.has(folded)) return !atCloudflare || folded !== name;
	return NAMES.has(folded) || FAMILIES.some((start) => folded.startsWith(start));
}
