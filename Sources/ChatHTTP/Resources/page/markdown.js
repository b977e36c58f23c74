// As much of Markdown as openapi.yaml's descriptions are written in, as elements.

// `code`, **strong**, *emphasis* and [links](to).
function inline(text) {
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\]]+)\]\(([^)]+)\)/g;
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const [whole, code, strong, emphasis, label, link] = match;
    parts.push(text.slice(end, match.index));
    if (code) parts.push(el("code", {}, code));
    else if (strong) parts.push(el("strong", {}, ...inline(strong)));
    else if (emphasis) parts.push(el("em", {}, ...inline(emphasis)));
    else parts.push(el("a", { href: link }, ...inline(label)));
    end = match.index + whole.length;
  }
  return [...parts, text.slice(end)];
}

// A paragraph, a list or a table.
function blockOf(text) {
  const lines = text.split("\n");
  if (text.startsWith("- ")) {
    const items = text.slice(2).split(/\n- /);
    return el("ul", {}, ...items.map((item) => el("li", {}, ...inline(item.replaceAll(/\s+/g, " ")))));
  }
  if (text.startsWith("| ")) {
    const cells = (line) => line.slice(2, -2).split(" | ");
    const row = (line, tag) => el("tr", {}, ...cells(line).map((cell) => el(tag, {}, ...inline(cell))));
    return el("table", {}, el("thead", {}, row(lines[0], "th")),
      el("tbody", {}, ...lines.slice(2).map((line) => row(line, "td"))));
  }
  return el("p", {}, ...inline(lines.join(" ")));
}

const blocksOf = (text) => text.trim().split(/\n\n+/).map(blockOf);

// What stands before the first heading; then each heading with what is below it, to be opened.
function sectionsOf(text) {
  const [first, ...rest] = text.split(/^## /m);
  return [...blocksOf(first), ...rest.map((section) => {
    const end = section.indexOf("\n");
    return el("details", {}, el("summary", {}, el("span", {}, section.slice(0, end))), ...blocksOf(section.slice(end)));
  })];
}
