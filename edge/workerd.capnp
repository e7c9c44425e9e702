# The edge on one's own machines: the worker that Cloudflare runs, in plain workerd (npm: workerd). Build it first:
#
#   cargo run -p harness --bin harness -- build-edge
#   workerd serve edge/workerd.capnp
#
# It listens on 127.0.0.1:8787, for HTTP; put what ends TLS in front of it. Settings and secrets come from the
# environment, under the names they have in wrangler.toml:
#
#   PUBLIC_URL, ISSUER_URL, ORIGIN_URL   scheme, host and port, without a path
#   ALSO_SERVES                          further host or host:port, between commas, by which clients or a health check
#                                        may call it. All but these and PUBLIC_URL's gets 421. What counts is `Host`:
#                                        the proxy in front must pass it on; X-Forwarded-Host is not believed.
#   ROUTES                               the rules as JSON: [{"path":"/app/*","access":"user"}]
#   EDGE_SECRET, ORIGIN_SECRET           at least 32 bytes each: EDGE_SECRET as the issuer has it
#   JWT_SECRET                           only if the issuer has one
#   TRUSTED_CLIENT_IP_HEADER             the header in which the proxy in front writes the client's address over
#                                        whatever came, such as X-Real-IP. Without it the client is whoever opened the
#                                        connection; `none`: nobody. CF-Connecting-IP counts only under Cloudflare.
#                                        The origin gets the client in X-Forwarded-For, and none of these headers
#   X_FORWARDED_FOR                      `append` if the proxies in front keep X-Forwarded-For and the outermost drops
#                                        what its client wrote: the list that comes stays in front of the client.
#                                        `replace`, which is also nothing: the client stands there alone
#
# On the command line:
#
#   --socket-addr http=0.0.0.0:8787      where it listens
#   --external-addr kv=127.0.0.1:8788    a service that speaks workerd's KV protocol: GET /<key> is 200 with the value,
#                                        or 404. Without one the edge asks the issuer for keys and revocations instead.
#   --external-addr cache=127.0.0.1:8789 a service that speaks workerd's cache protocol, shared by the processes of one
#                                        place: GET is 200 with `CF-Cache-Status: HIT` or 504 with MISS, PUT stores the
#                                        answer in its body, PURGE forgets it. Without one `caches.default.match`
#                                        throws and `put` says nothing: the worker takes that for a cache that holds
#                                        nothing, and every process asks the issuer for itself.
#
# workerd runs one thread: start one for each core, behind a balancer.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    (name = "kv", external = (address = "127.0.0.1:8788", http = ())),
    (name = "cache", external = (address = "127.0.0.1:8789", http = ())),
    # Issuer and origin, which may stand on this machine or beside it.
    (name = "internet", network = (
      allow = ["public", "private", "local"],
      tlsOptions = (trustBrowserCas = true),
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "edge")],
);

const edge :Workerd.Worker = (
  modules = [
    (name = "entry.js", esModule = embed "../target/edge/entry.js"),
    (name = "index_bg.wasm", wasm = embed "../target/edge/index_bg.wasm"),
  ],
  # As in wrangler.toml.
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "PUBLIC_URL", fromEnvironment = "PUBLIC_URL"),
    (name = "ALSO_SERVES", fromEnvironment = "ALSO_SERVES"),
    (name = "ISSUER_URL", fromEnvironment = "ISSUER_URL"),
    (name = "ORIGIN_URL", fromEnvironment = "ORIGIN_URL"),
    (name = "ROUTES", fromEnvironment = "ROUTES"),
    (name = "EDGE_SECRET", fromEnvironment = "EDGE_SECRET"),
    (name = "ORIGIN_SECRET", fromEnvironment = "ORIGIN_SECRET"),
    (name = "JWT_SECRET", fromEnvironment = "JWT_SECRET"),
    (name = "TRUSTED_CLIENT_IP_HEADER", fromEnvironment = "TRUSTED_CLIENT_IP_HEADER"),
    (name = "X_FORWARDED_FOR", fromEnvironment = "X_FORWARDED_FOR"),
    (name = "REVOCATIONS", kvNamespace = "kv"),
  ],
  # Where `caches.default` keeps what one process has fetched for the others.
  cacheApiOutbound = "cache",
);
