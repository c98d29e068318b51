// A browser that fills in the one form of the pages, and stops where it is sent to.
export async function signIn(address, fields) {
  const page = await fetch(address, { redirect: "manual" });
  const text = await page.text();
  if (page.status !== 200) throw new Error(`the page: ${page.status} ${text}`);
  const form = new URLSearchParams(fields);
  const unescape = (s) => s.replaceAll("&#43;", "+").replaceAll("&#34;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  for (const [, name, value] of text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)) form.set(name, unescape(value));
  const action = new URL(text.match(/action="([^"]*)"/)[1], address);
  const sent = await fetch(action, { method: "POST", body: form, redirect: "manual" });
  return sent.status === 303 ? new URL(sent.headers.get("location")) : await sent.text();
}
