// The fragment of this page's URL is that of the page to come back to. A link to a provider would lose it, and no server sees it.
if (location.hash) {
  for (const link of document.querySelectorAll("a.provider")) {
    const url = new URL(link.href);
    const to = url.searchParams.get("return_to") ?? "/";
    if (!to.includes("#")) url.searchParams.set("return_to", to + location.hash);
    link.href = url.href;
  }
}
