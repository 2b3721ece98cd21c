// The excerpts among the results of a search leave equations out, which stand in a page
// as TeX until they are rendered.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const plain = Search.htmlToText.bind(Search);
  Search.htmlToText = (html, anchor) => {
    const math = /<(span|div) class="math[^"]*"[^>]*>[\s\S]*?<\/\1>/g;
    return plain(html.replace(math, " … "), anchor).replace(/\s+/g, " ");
  };
});
