// The page at /docs: openapi.yaml to read, with a form for each operation that sends it.

let api = {};

// What a `$ref` leads to.
function resolve(node) {
  while (node?.$ref) node = node.$ref.split("/").slice(1).reduce((at, name) => at[name], api);
  return node ?? {};
}

const methods = ["get", "post", "patch", "put", "delete"];
const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
const badge = (method) => el("span", { class: `method ${method}` }, method.toUpperCase());

function showAPI() {
  document.title = `API · ${api.info.title}`;
  $("title").textContent = `${api.info.title} API`;
  $("summary").textContent = api.info.summary;
  $("introduction").append(...sectionsOf(api.info.description));
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    methods.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })));
  for (const { name, description } of api.tags) {
    const operations = all.filter((operation) => operation.tags.includes(name));
    const id = name.toLowerCase().replaceAll(" ", "-");
    $("list").append(
      el("h2", {}, el("a", { href: `#${id}` }, name)),
      el("ul", {}, ...operations.map(({ operationId, method, summary }) =>
        el("li", {}, el("a", { href: `#${operationId}` }, badge(method), el("span", {}, summary))))));
    $("operations").append(el("section", { "aria-labelledby": id },
      el("h2", { id }, name), el("p", { class: "muted" }, ...inline(description)),
      ...operations.map(operationElement)));
  }
}

function operationElement(operation) {
  const { operationId, method, path, summary, description, responses } = operation;
  const parameters = (operation.parameters ?? []).map(resolve);
  const content = resolve(operation.requestBody).content ?? {};
  return el("article", { id: operationId, "aria-labelledby": `${operationId}-title` },
    el("h3", { id: `${operationId}-title` }, summary),
    el("p", { class: "line" }, badge(method), el("code", {}, path)),
    el("div", { class: "prose" }, ...blocksOf(description ?? "")),
    ...parametersOf(parameters), ...bodyOf(content),
    el("h4", {}, "Answers"),
    el("div", { class: "answers" }, ...Object.entries(responses).map(([status, node]) => answerOf(status, resolve(node)))),
    // A browser opens no WebSocket by a request.
    responses["101"] ? el("p", { class: "muted" }, "A WebSocket: connect with a client for those, or by JavaScript.")
      : new Trial(operation, parameters, content["application/json"]?.example).element);
}

function parametersOf(parameters) {
  if (parameters.length === 0) return [];
  return [el("h4", {}, "Parameters"), el("dl", {}, ...parameters.map((parameter) =>
    el("div", {},
      el("dt", {}, el("code", {}, parameter.name),
        el("span", { class: "muted" }, ` ${parameter.in}${parameter.required ? ", required" : ""}`)),
      el("dd", {}, ...inline(parameter.description.replaceAll("\n", " ")))))) ];
}

function bodyOf(content) {
  const types = Object.keys(content);
  if (types.length === 0) return [];
  const example = content[types[0]].example;
  return [el("h4", {}, "Body"), el("p", { class: "muted" }, types.join(" or ")),
    example === undefined ? "" : el("pre", {}, el("code", {}, pretty(example)))];
}

function answerOf(status, { description, headers = {}, content = {} }) {
  const media = Object.entries(content);
  const [type, { example } = {}] = media.find(([, { example }]) => example !== undefined) ?? media[0] ?? [];
  return el("details", {},
    el("summary", {}, el("span", { class: `status ${status < 400 ? "good" : "bad"}` }, status),
      el("span", {}, ...inline(description.trim().replaceAll("\n", " ")))),
    el("p", { class: "muted" }, `Headers: ${Object.keys(headers).join(", ") || "none of its own"}`),
    type ? el("p", { class: "muted" }, type) : "",
    example === undefined ? "" : el("pre", {}, el("code", {}, pretty(example))));
}

// What was made is what the next forms are about.
function remember(value) {
  for (const name of ["token", "chat_number", "message_number"]) {
    // A user's token is no application's.
    if (value?.[name] === undefined || value.user) continue;
    for (const input of document.querySelectorAll(`input[name="${name}"]`)) input.value = value[name];
  }
}

// A form that sends an operation, and shows what came back.
class Trial {
  static longest = 64 * 1024;
  #operation; #parameters; #inputs; #body; #send; #stop; #answer; #abort = null;

  constructor(operation, parameters, example) {
    this.#operation = operation;
    this.#parameters = parameters;
    const { operationId: id, requestBody } = operation;
    this.#inputs = parameters.map(({ name, required, schema, in: place }) => el("input", {
      id: `${id}-${place}-${name}`, name, class: "mono", required, autocomplete: "off", autocapitalize: "off",
      spellcheck: "false", placeholder: resolve(schema).enum?.join(" or "),
      value: name.endsWith("_number") ? "1" : name === "q" ? "h" : null,
    }));
    this.#body = requestBody && el("textarea", { id: `${id}-body`, class: "mono", rows: 3, spellcheck: "false" });
    if (this.#body) this.#body.value = example === undefined ? "" : pretty(example);
    this.#send = el("button", { class: "primary" }, "Send");
    this.#stop = el("button", { type: "button", hidden: true, click: () => this.#abort?.abort() }, "Stop");
    this.#answer = el("div", { class: "answer" });
    const field = (label, input) => el("div", { class: "field" }, el("label", { for: input.id }, label), input);
    this.element = el("details", { class: "trial" },
      el("summary", {}, el("span", {}, "Try it", el("span", { class: "unseen" }, `: ${operation.summary}`))),
      el("form", { submit: (event) => { event.preventDefault(); this.#run(); } },
        ...this.#inputs.map((input) => field(input.name, input)),
        this.#body ? field("Body", this.#body) : "",
        el("div", { class: "row" }, this.#send, this.#stop)),
      this.#answer);
  }

  // The request as it is filled in.
  get #request() {
    let path = this.#operation.path;
    const query = new URLSearchParams();
    const headers = {};
    for (const [index, { name, in: place }] of this.#parameters.entries()) {
      const value = this.#inputs[index].value;
      if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
      else if (value !== "" && place === "query") query.append(name, value);
      else if (value !== "") headers[name] = value;
    }
    const body = this.#body?.value || undefined;
    if (body) headers["Content-Type"] = "application/json";
    return { method: this.#operation.method.toUpperCase(), url: path + (query.size ? `?${query}` : ""), headers, body };
  }

  static #curl({ method, url, headers, body }) {
    return ["curl -sN", method === "GET" ? "" : `-X ${method}`, quote(location.origin + url),
      ...Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`),
      body ? `-d ${quote(body)}` : ""].filter(Boolean).join(" ");
  }

  async #run() {
    const request = this.#request;
    const status = el("p", { class: "outcome", role: "status" });
    const headers = el("code", {});
    const body = el("code", {});
    const line = Trial.#curl(request);
    const part = (title, code) => [el("h5", {}, title), el("pre", {}, code)];
    this.#answer.replaceChildren(status, ...part("Headers", headers), ...part("Body", body),
      ...part("The same by curl", el("code", {}, line)));
    const began = performance.now();
    this.#abort = new AbortController();
    this.#send.disabled = true;
    try {
      const { url, ...options } = request;
      const response = await fetch(url, {
        ...options, cache: "no-store", credentials: "omit", signal: this.#abort.signal });
      const milliseconds = Math.max(1, Math.round(performance.now() - began));
      status.append(el("span", { class: `status ${response.ok ? "good" : "bad"}` }, `${response.status}`),
        ` ${response.statusText} · ${milliseconds} ms`);
      headers.textContent = Array.from(response.headers, ([name, value]) => `${name}: ${value}`).join("\n");
      await this.#read(response, body);
    } catch {
      if (!this.#abort.signal.aborted) status.textContent = "No answer: the server cannot be reached.";
      else status.append(" · stopped");
    }
    this.#send.disabled = false;
    this.#stop.hidden = true;
  }

  // A stream does not end by itself: what has come is shown as it comes.
  async #read(response, body) {
    const type = response.headers.get("Content-Type") ?? "";
    this.#stop.hidden = !type.startsWith("text/event-stream");
    let text = "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += part.value;
      body.textContent = text.slice(0, Trial.longest) + (text.length > Trial.longest ? "…" : "");
      if (text.length > Trial.longest) return reader.cancel();
    }
    if (/json/.test(type)) {
      const value = JSON.parse(text);
      body.textContent = pretty(value);
      if (response.ok) remember(value);
    } else if (text === "") {
      body.textContent = "(empty)";
    }
    return undefined;
  }
}

// On a small screen the list stands before everything else.
$("list").open = matchMedia("(min-width: 60rem)").matches;
$("skip").addEventListener("click", () => $("operations").focus());

try {
  const response = await fetch("/openapi.yaml", { cache: "no-store", credentials: "omit" });
  if (!response.ok) throw new Error(`The server answered ${response.status} for openapi.yaml.`);
  api = YAMLReader.read(await response.text());
  showAPI();
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
} catch (error) {
  complain(error);
}
