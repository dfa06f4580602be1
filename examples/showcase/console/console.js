/* The console. Three parts: what happened (a Story for each button), the log as it is written, and live figures.
   It talks to the showcase alone: to the origin it came from, and to the second one that the page names. */

const $ = (id) => document.getElementById(id);
const second = document.body.dataset.second;
const utf8 = new TextDecoder();
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const millis = (ms) => (ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

function el(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/* ---------------------------------------------------------------- what happened */

let shown = null; // the Story on the page; an earlier one may still be going on, unseen

class Story {
  constructor(title) {
    this.title = title;
    this.mark = `ui-${crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0")}`;
    this.began = performance.now();
    this.seen = el("div", { className: "seen" });
    const heading = el("h3", {}, "What the server logged");
    this.lines = el("article", { className: "server", hidden: true, tabIndex: 0 }, heading);
    shown = this;
    $("details").replaceChildren(this.seen, this.lines);
    $("path").hidden = false;
    for (const step of $("path").children) step.className = "";
    for (const row of document.querySelectorAll("tr.mine")) row.classList.remove("mine");
    this.says("", title, "…");
  }

  get elapsed() { return performance.now() - this.began; }

  says(tone, head, text) {
    if (shown !== this) return;
    $("verdict").className = `verdict ${tone}`;
    $("verdict").replaceChildren(el("b", {}, head), ` ${text}`);
  }

  add(title, ...nodes) {
    this.seen.append(el("article", {}, el("h3", {}, title), ...nodes));
  }

  request(method, url, headers = {}, body = "") {
    const address = new URL(url, location.origin);
    this.add("Request, with what the script set", head(`${method} ${address.pathname}${address.search}`, {
      Host: address.host, ...(address.origin === location.origin ? {} : { Origin: location.origin }), ...headers,
    }, body));
  }

  response(response, body) {
    const first = `HTTP ${response.status} ${response.statusText}`;
    this.add("Response", head(first, Object.fromEntries(response.headers), readable(body)));
  }

  steps(title) {
    const list = el("ol");
    this.add(title, list);
    return (text, when = seconds(this.elapsed), className = "") =>
      list.append(el("li", { className }, el("span", {}, when), el("code", {}, text)));
  }

  logged(line) {
    const { event, ...fields } = line;
    for (const dull of DULL) delete fields[dull];
    this.lines.append(head(event, fields));
    this.lines.hidden = false;
    if (shown === this && line.outcome !== undefined) showPath(line);
  }
}

/* Light the classes that the request came to, and mark the one that answered in the place of the app. */
function showPath({ event, refusal, cors, outcome, route, error_type: error }) {
  const turned = refusal ?? (error ? "internal_error" : isDenied(cors) ? cors : undefined);
  let by = ANSWERED_BY[turned];
  if (turned === "origin_not_allowed" && event === "websocket.session") by = "WebSocketOriginMiddleware";
  const ran = !refusal || route !== undefined; // an app that was cut off in the middle had a route by then
  let reached = true;
  for (const step of $("path").children) {
    const { name } = step.dataset;
    if (name === by) step.className = "stopped";
    else if (name === "app" && ran) step.className = AS_APP[outcome] ?? "failed";
    else step.className = reached ? "passed" : "";
    reached &&= name !== by || ran;
  }
  const who = by ? `${by} said ${turned}` : "all passed it on";
  $("path").ariaLabel = `The classes on the way: ${who}; the app ${ran ? "ran" : "never ran"}`;
}

const AS_APP = { ok: "reached", client_disconnect: "reached", refused: "passed" };
const HARMLESS = ["origin_allowed", "preflight_allowed", "kept_by_app", "same_origin", "no_origin"];
const isDenied = (cors) => cors !== undefined && !HARMLESS.includes(cors);

const ANSWERED_BY = {
  credentials_missing: "JWTAuthMiddleware", insufficient_scope: "JWTAuthMiddleware", token_expired: "JWTAuthMiddleware",
  inflated_body_too_large: "DecompressionMiddleware", body_too_large: "RequestBodyLimitMiddleware",
  body_too_slow: "BodyTimeoutMiddleware", body_idle_timeout: "BodyTimeoutMiddleware",
  header_field_too_large: "HeaderLimitMiddleware", message_too_large: "WebSocketMessageLimitMiddleware",
  origin_not_allowed: "CORSMiddleware", method_not_allowed: "CORSMiddleware",
  internal_error: "ProblemDetailsMiddleware",
};

const DULL = ["timestamp", "level", "logger", "trace_id", "span_id", "scheme", "http_version", "client",
  "request_chunks", "response_chunks"];

function head(first, fields, body = "") {
  const block = el("pre", {}, el("span", { className: "first" }, first));
  for (const [name, value] of Object.entries(fields)) {
    if (value !== null && typeof value === "object" && !Object.keys(value).length) continue;
    const text = typeof value === "string" ? short(value) : JSON.stringify(value);
    block.append("\n", el("span", { className: "name" }, `${name}: `), text);
  }
  if (body) block.append(`\n\n${body}`);
  return block;
}

function short(text) {
  return /^(\w+ )?\S{90,}$/.test(text) ? `${text.slice(0, 36)}…${text.slice(-6)} (${text.length} characters)` : text;
}

function readable(body) {
  try {
    const text = JSON.stringify(JSON.parse(body), null, 1);
    return text.length > 700 ? `${body.slice(0, 300)}… (${body.length} characters)` : text;
  } catch {
    return body.slice(0, 300);
  }
}

/* ---------------------------------------------------------------- tokens */

let held = null; // {text, user, scope, ends}

async function issue(query = "") {
  const response = await fetch(`/token?${query}`, { method: "POST" });
  return (await response.json()).access_token;
}

function hold(text) {
  const { sub, scope = "", exp } = JSON.parse(atob(text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  held = { text, user: sub, scope, ends: exp * 1000 };
  showHeld();
}

function showHeld() {
  if (held && held.ends < Date.now()) held = null;
  const left = held && Math.round((held.ends - Date.now()) / 1000);
  $("holder").textContent = held
    ? `You are ${held.user}${held.scope && `, scope ${held.scope}`}: ${Math.floor(left / 60)} min ${left % 60} s left.`
    : "You hold no token.";
}

const bearer = () => (held ? { Authorization: `Bearer ${held.text}` } : {});

/* ---------------------------------------------------------------- what the buttons do */

async function call(story, url, { method = "GET", headers = {}, body, about = "", as = "" } = {}) {
  const sent = { ...headers, "X-Request-ID": story.mark };
  story.request(method, url, sent, about);
  const began = performance.now();
  const response = await fetch(url, { method, headers: sent, body, cache: "no-store" });
  const text = await response.text();
  const took = millis(performance.now() - began);
  story.response(response, text);
  const reason = response.ok ? "" : ` ${JSON.parse(text).reason ?? ""}`;
  const tone = response.ok ? "good" : response.status < 500 ? "warn" : "bad";
  story.says(tone, `${response.status}${reason}`, `after ${took}. ${response.ok ? as : MEANINGS[reason.trim()] ?? ""}`);
  return text;
}

const MEANINGS = {
  credentials_missing: "The app never ran. The www-authenticate header says what is wanted.",
  insufficient_scope: "The token is good and does not grant the scope admin; the challenge names it.",
  body_too_large: "Refused by its Content-Length, before a byte was read by the app.",
  inflated_body_too_large: "A few bytes that inflate to 50 MB; stopped at the limit, whatever comes behind it.",
  header_field_too_large: "Refused before anything else looked at it; the app never ran.",
  internal_error: "The answer has the id and not the exception's text; the log has both.",
};

async function getToken(story, query) {
  const as = "Kept in this page's memory, nowhere else.";
  const text = await call(story, `/token?${query}`, { method: "POST", as });
  hold(JSON.parse(text).access_token);
}

const count = (bytes) => `${bytes.toLocaleString("en")} bytes`;

async function upload(story, size, coding) {
  const headers = { "Content-Type": "application/octet-stream", ...(coding && { "Content-Encoding": coding }) };
  let [body, about] = [new Blob([new Uint8Array(size)]), `(${count(size)})`];
  if (coding) {
    body = await new Response(body.stream().pipeThrough(new CompressionStream(coding))).blob();
    about = `(${count(body.size)}, which inflate to ${size.toLocaleString("en")})`;
  }
  const as = "The handler counted what it got, and its field is in the log.";
  await call(story, "/fastapi/upload", { method: "POST", headers, body, about, as });
}

/* A server-side client plays the slow one, and tells one JSON object a line. */
async function slowly(story, query, text) {
  let tell;
  const response = await fetch(`/console/slow-upload?id=${story.mark}${query}`, { method: "POST" });
  let rest = "";
  for await (const chunk of chunks(response)) {
    const lines = (rest + utf8.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop();
    for (const { at, kind, text: said } of lines.map((line) => JSON.parse(line))) {
      if (kind === "request") {
        story.add("Request of a slow client, which the server plays over a raw socket", el("pre", {}, said.trim()));
        tell = story.steps("What the slow client sees");
        continue;
      }
      if (kind === "response") story.add("Response", el("pre", {}, said.trim()));
      tell(kind === "response" ? `answer: ${said.split("\r\n")[0]}` : said, `${at.toFixed(2)} s`);
      if (kind === "response") story.says("warn", said.split("\r\n")[0].slice(9), `after ${at.toFixed(1)} s. ${text}`);
    }
  }
}

async function* chunks(response) {
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

/* Open a WebSocket, tell what happens, and give its close event. `then` is given the socket and a function that waits
   for its next message. */
async function connect(story, { origin = location.origin, token, then = async () => {} }) {
  const address = `${origin.replace("http", "ws")}/bare/session?try=${story.mark}`;
  story.add("Request", el("pre", {},
    `new WebSocket("${address}"${token ? `,\n  ["bearer", "${token.slice(0, 12)}…"]` : ""})`));
  const tell = story.steps("What the browser sees");
  const socket = new WebSocket(address, token ? ["bearer", token] : []);
  const messages = [];
  let wake = () => {};
  socket.onmessage = ({ data }) => { tell(`← ${data}`); messages.push(data); wake(); };
  socket.onerror = () => tell("error, without a reason", undefined, "stop");
  const next = () => new Promise((done) => {
    wake = () => messages.length && done(JSON.parse(messages.shift()));
    wake();
  });
  socket.onopen = () => {
    tell(`open, subprotocol "${socket.protocol}"`);
    const send = socket.send.bind(socket);
    socket.send = (text) => { tell(`→ ${short(text)}`); send(text); };
    then(socket, next);
  };
  const end = await new Promise((done) => { socket.onclose = done; });
  tell(`closed: ${end.code} ${end.reason}`, undefined, end.code === 1000 ? "" : "stop");
  return end;
}

async function refusedSocket(story, options, reason) {
  const { code } = await connect(story, options);
  story.says("warn", `closed ${code}`, `A page never learns why a handshake failed. The server's log does: ${reason}.`);
}

async function endedSocket(story, options, text) {
  const { code, reason } = await connect(story, options);
  story.says(code === 1000 ? "good" : "warn", `closed ${code} ${reason}`, text);
}

/* A request to the second origin, what the browser says of it, and what explain() says of both. */
async function across(story, path, { method = "GET", headers = {} } = {}) {
  const url = `${second}${path}?try=${story.mark}`;
  story.request(method, url, headers);
  let outcome;
  try {
    const response = await fetch(url, { method, headers, cache: "no-store" });
    story.response(response, await response.text());
    outcome = `${response.status} ${response.statusText}, readable for the script`;
  } catch (error) {
    outcome = `${error.name}: ${error.message}`;
    story.add("Response", el("pre", {}, `${outcome}\n\nThat is all that the script gets to know.`));
  }
  const query = new URLSearchParams({ origin: location.origin, path, method });
  for (const name of Object.keys(headers)) query.append("header", name);
  const found = await (await fetch(`/console/explain?${query}`)).json();
  const tell = story.steps("What explain() says of it");
  for (const step of found.steps) tell(step.text, step.side, step.passed ? "" : "stop");
  const ran = found.allowed ? "" : found.reaches_app ? " The app ran all the same." : " The app never ran.";
  const tone = found.allowed ? "good" : "warn";
  story.says(tone, outcome, `is what the browser says; explain() says ${found.reason}.${ran}`);
}

async function compareCodings(story) {
  const body = el("tbody");
  story.add("GET /starlette/catalog", el("table", {}, el("thead", {}, el("tr", {},
    ...["coding", "bytes", "part", "browser", "server"].map((title, at) =>
      el("th", { scope: "col", className: at === 2 ? "" : at ? "number" : "" }, title)))), body));
  let plain = 0;
  const found = [];
  for (const coding of ["identity", "gzip", "br", "zstd"]) {
    const url = `${location.origin}/starlette/catalog?coding=${coding}&n=${story.mark}`;
    const response = await fetch(url, { headers: { "X-Request-ID": `${story.mark}-${coding}` } });
    await response.arrayBuffer();
    const used = response.headers.get("content-encoding") ?? "identity";
    let entry;
    while (!(entry = performance.getEntriesByName(url)[0])) await sleep(5); // it is noted a moment after the body
    plain ||= entry.encodedBodySize;
    const inside = /total;dur=([\d.]+)/.exec(response.headers.get("server-timing"))?.[1];
    found.push([used, entry.encodedBodySize]);
    body.append(el("tr", {},
      el("td", {}, used === coding ? coding : `${coding}: not accepted here`),
      el("td", { className: "number" }, entry.encodedBodySize.toLocaleString("en")),
      el("td", {}, el("meter", { max: plain, value: entry.encodedBodySize, ariaLabel: `${coding}, of the plain size` })),
      el("td", { className: "number" }, millis(entry.duration)),
      el("td", { className: "number" }, inside ? millis(Number(inside)) : "")));
  }
  performance.clearResourceTimings();
  const [best, bytes] = found.reduce((a, b) => (b[1] < a[1] ? b : a));
  story.says("good", `${best}: ${Math.round(plain / bytes)} times smaller`,
    "as your browser measured it. Each request named one coding; the same class served all four.");
}

async function readStream(story) {
  const stop = new AbortController();
  const headers = { "X-Request-ID": story.mark };
  story.request("GET", "/bare/events", headers);
  const response = await fetch("/bare/events", { headers, signal: stop.signal });
  story.response(response, "");
  const tell = story.steps("Events, as they arrive");
  let events = 0;
  for await (const chunk of chunks(response)) {
    tell(utf8.decode(chunk).trim().replaceAll("\n", "  "));
    if (++events === 5) break;
  }
  stop.abort();
  const coding = response.headers.get("content-encoding");
  story.says("good", `${events} events`, `in ${coding}, each one readable at once. The page left; the log says so.`);
}

const ACTIONS = {
  token: (story) => getToken(story, "user=ada"),
  "admin-token": (story) => getToken(story, "user=grace&scope=admin"),
  forget: async (story) => { held = null; story.says("", "Forgotten.", "Protected routes answer 401 now."); },
  me: (story, { app }) => call(story, `/${app}/me`, { headers: bearer(), as: "The app knows whom the token names." }),
  admin: (story) => call(story, "/fastapi/admin", { headers: bearer(), as: "The token grants the scope." }),

  "ws-none": (story) => refusedSocket(story, {}, "401 credentials_missing"),
  "ws-origin": async (story) => refusedSocket(story, { origin: second, token: await issue() }, "origin_not_allowed"),
  "ws-token": async (story) => endedSocket(story, {
    token: held?.text ?? await issue(),
    then: async (socket, next) => { await next(); socket.send("hello"); await next(); socket.close(1000); },
  }, "The token came as a subprotocol, the only header that a page can choose here."),
  "ws-expires": async (story) => endedSocket(story, { token: await issue("lifetime=3") },
    "The server closed when the token ended; neither app nor page did anything."),
  "ws-renew": async (story) => endedSocket(story, {
    token: await issue("lifetime=2"),
    then: async (socket, next) => {
      await next();
      await sleep(1000);
      socket.send(`token ${await issue("lifetime=3")}`);
      await next();
      await sleep(2300); // past the end of the first token
      socket.send("still here");
      await next();
      socket.close(1000);
    },
  }, "A newer token came over the connection, which outlived the first one."),
  "ws-large": async (story) => endedSocket(story, {
    token: await issue(),
    then: async (socket, next) => { await next(); socket.send("x".repeat(20_000)); },
  }, "20,000 characters are over the limit of 16 KiB; the app never saw them."),

  "cors-allowed": (story) => across(story, "/health"),
  "cors-preflight": async (story) => across(story, "/fastapi/me", {
    headers: { Authorization: `Bearer ${held?.text ?? await issue()}` },
  }),
  "cors-denied": (story) => across(story, "/starlette/partners"),
  "cors-preflight-denied": (story) => across(story, "/fastapi/me", { method: "PATCH" }),

  codings: compareCodings,
  stream: readStream,

  upload: (story) => upload(story, 100_000),
  "upload-coded": (story) => upload(story, 100_000, "gzip"),
  "upload-bomb": (story) => upload(story, 50_000_000, "gzip"),
  "upload-large": (story) => upload(story, 2_000_000),
  "upload-slow": (story) => slowly(story, "", "Two bytes a second are too few; the app had waited for them."),
  "upload-silent": (story) => slowly(story, "&silent", "One byte, then nothing; the app had waited for more."),
  "header-large": (story) => call(story, "/health", { headers: { "X-Padding": "x".repeat(9000) } }),

  fail: (story) => call(story, "/bare/fail"),
  thread: (story) => call(story, "/fastapi/thread", { as: "Two lines with one id; the thread added a field and a timing." }),
  sync: (story) => call(story, "/django/sync", { as: "Two lines with one id, one of them from Django's thread." }),
};

async function press(button) {
  if (button.ariaBusy === "true") return;
  const story = new Story(button.textContent);
  for (const other of document.querySelectorAll(".last")) other.classList.remove("last");
  button.classList.add("last");
  button.ariaBusy = "true";
  if (matchMedia("(max-width: 56rem)").matches) $("exchange").scrollIntoView();
  try {
    await ACTIONS[button.dataset.do](story, button.dataset);
  } catch (error) {
    story.says("bad", error.name, `${error.message}. Is the showcase still running?`);
  }
  button.ariaBusy = "false";
  showHeld();
}

/* ---------------------------------------------------------------- the log */

const MOST_ROWS = 150;
const waiting = []; // while paused

function follow() {
  const source = new EventSource("/console/log");
  source.onopen = () => { $("live").textContent = "live"; $("live").className = "live on"; };
  source.onerror = () => { $("live").textContent = "connecting"; $("live").className = "live"; };
  source.onmessage = ({ data }) => {
    const line = JSON.parse(data);
    const isMine = shown && (line.request_id?.startsWith(shown.mark) || line.query?.includes(shown.mark));
    if (isMine) shown.logged(line);
    if ($("pause").ariaPressed === "true") waiting.push(line); else addRow(line, isMine);
    while (waiting.length > MOST_ROWS) waiting.shift();
  };
}

function addRow(line, isMine = false) {
  const { request_id: id = "", outcome, refusal, cors, status, duration_ms: took, method, path } = line;
  const isAccess = outcome !== undefined;
  const why = refusal ?? (isDenied(cors) ? cors : "");
  const failed = outcome === "error" || outcome === "no_response";
  const tone = !isAccess ? "" : failed ? "bad" : outcome === "ok" && !why && !(status >= 400) ? "good" : "warn";
  const said = status ?? (line.close_code ? `ws ${line.close_code}` : "");
  const time = new Date(line.timestamp).toLocaleTimeString("en-GB");
  const name = isAccess ? `${method ?? "WS"} ${path}` : `${id && "↳ "}${line.event}`;
  const button = el("button", { type: "button", className: isAccess ? "" : "quiet", ariaExpanded: "false" }, name);
  const row = el("tr", { className: `${isMine ? "mine" : ""} ${tone === "good" || !isAccess ? "is-ok" : ""}` },
    el("td", { className: "wide" }, time),
    el("td", { className: "request" }, button),
    el("td", { className: `${tone}-text` }, String(said)),
    el("td", {}, isAccess ? outcome : "", why ? el("span", { className: `${tone}-text` }, ` ${why}`) : ""),
    el("td", { className: "number" }, took === undefined ? "" : took.toFixed(took < 10 ? 2 : 0)),
    el("td", { className: "wide quiet" }, id.slice(0, 11)));
  button.onclick = () => toggle(row, button, line);
  row.onclick = ({ target }) => target === button || button.click();
  $("rows").prepend(row);
  while ($("rows").rows.length > MOST_ROWS) $("rows").lastChild.remove();
  $("empty").hidden = true;
}

function toggle(row, button, line) {
  const open = button.ariaExpanded !== "true";
  button.ariaExpanded = String(open);
  if (!open) return row.nextSibling.remove();
  row.after(el("tr", { className: "more" }, el("td", { colSpan: 6 }, el("pre", {}, JSON.stringify(line, null, 1)))));
}

/* ---------------------------------------------------------------- live figures */

const SECONDS = 60;
const LOWEST = 0.1; // milliseconds, at the bottom of the picture
const past = []; // {rates: {ok, refused, failed}, median, slow}
let before = null;

function read(text) {
  const now = { ok: 0, refused: 0, failed: 0, buckets: new Map(), reasons: new Map(), sockets: 0 };
  for (const line of text.split("\n")) {
    const found = /^(\w+?)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const [, name, inside = "", value] = found;
    const label = (wanted) => new RegExp(`(?:^|,)${wanted}="([^"]*)"`).exec(inside)?.[1] ?? "";
    if (name === "http_server_request_duration_seconds_count") {
      const status = label("http_response_status_code");
      now[status.startsWith("4") ? "refused" : status.startsWith("5") ? "failed" : "ok"] += Number(value);
    } else if (name === "http_server_request_duration_seconds_bucket") {
      const bound = label("le") === "+Inf" ? Infinity : Number(label("le"));
      now.buckets.set(bound, (now.buckets.get(bound) ?? 0) + Number(value));
    } else if (name === "asgi_middleware_refusals_total") {
      now.reasons.set(label("reason"), (now.reasons.get(label("reason")) ?? 0) + Number(value));
    } else if (name === "websocket_server_active_connections") {
      now.sockets += Number(value);
    }
  }
  return now;
}

/* The quantile of what came between two readings, in milliseconds, as Prometheus reckons it. */
function quantile(part, now, then) {
  const sorted = [...now.buckets].sort(([a], [b]) => a - b);
  const bounds = sorted.map(([bound, count]) => [bound, count - (then.buckets.get(bound) ?? 0)]);
  const all = bounds.at(-1)?.[1] ?? 0;
  if (!all) return null;
  let [low, below] = [0, 0];
  for (const [bound, count] of bounds) {
    if (count >= part * all) {
      return 1000 * (bound === Infinity ? low : low + (bound - low) * (part * all - below) / (count - below));
    }
    [low, below] = [bound, count];
  }
  return null;
}

async function measure() {
  if (document.hidden) return;
  const at = performance.now();
  const now = { ...read(await (await fetch("/metrics")).text()), at };
  if (before) {
    const passed = (now.at - before.at) / 1000;
    const rates = Object.fromEntries(["ok", "refused", "failed"].map((name) => [name, (now[name] - before[name]) / passed]));
    past.push({ rates, median: quantile(0.5, now, before), slow: quantile(0.95, now, before) });
    if (past.length > SECONDS) past.shift();
    draw();
  }
  before = now;
  now.reasons.delete("internal_error"); // no refusal: it is among the failures
  const reasons = [...now.reasons].sort((a, b) => b[1] - a[1]);
  $("requests").textContent = (now.ok + now.refused + now.failed).toLocaleString("en");
  $("refused").textContent = reasons.reduce((sum, [, count]) => sum + count, 0).toLocaleString("en");
  $("sockets").textContent = now.sockets;
  $("reasons").textContent = reasons.slice(0, 3).map((pair) => pair.join(" ")).join(", ") || "Nothing refused yet.";
}

function draw() {
  const start = SECONDS - past.length;
  const total = ({ rates }) => rates.ok + rates.refused + rates.failed;
  const top = Math.max(5, ...past.map(total)) * 1.1;
  const stacked = past.map(() => 20);
  for (const name of ["ok", "refused", "failed"]) {
    let path = "";
    past.forEach(({ rates }, at) => {
      const height = rates[name] / top * 20;
      if (height > 0) path += `M${start + at + .1} ${stacked[at].toFixed(2)}h.8v${(-height).toFixed(2)}h-.8z`;
      stacked[at] -= height;
    });
    $("traffic").querySelector(`.${name}`).setAttribute("d", path);
  }
  const highest = Math.max(10, ...past.map(({ slow }) => slow ?? 0)) * 1.1;
  const height = (ms) => 20 * Math.log(Math.max(ms, LOWEST) / LOWEST) / Math.log(highest / LOWEST);
  for (const name of ["median", "slow"]) {
    let [path, pen] = ["", "M"];
    past.forEach((point, at) => {
      const value = point[name];
      if (value !== null) path += `${pen}${start + at + .1} ${(20 - height(value)).toFixed(2)}h.8`;
      pen = value === null ? "M" : "L";
    });
    $("durations").querySelector(`.${name}`).setAttribute("d", path);
  }
  const last = past.at(-1);
  const latest = past.findLast(({ median }) => median !== null);
  $("rate").textContent = `${total(last).toFixed(total(last) < 10 ? 1 : 0)} requests/s`;
  $("traffic-top").textContent = `top ${top.toFixed(0)}/s`;
  $("latency-top").textContent = `to ${millis(highest)}, log scale`;
  if (latest) $("latency").textContent = `${millis(latest.median)}, 95 % within ${millis(latest.slow)}`;
}

/* ---------------------------------------------------------------- some traffic */

const ROUTES = ["/fastapi/me", "/starlette/me", "/django/me", "/bare/me", "/fastapi/thread", "/django/sync", "/django/async",
  "/starlette/catalog", "/health"];
const pick = (list) => list[Math.floor(Math.random() * list.length)];

async function drive() {
  const headers = { Authorization: `Bearer ${await issue("user=robot")}` };
  while ($("drive").ariaPressed === "true") {
    const odd = Math.random();
    if (odd < .02) await fetch("/bare/fail");
    else await fetch(pick(ROUTES), odd < .12 ? {} : { headers });
    await sleep(20 + 120 * Math.random());
  }
}

/* ---------------------------------------------------------------- start */

function pressed(button) {
  const on = button.ariaPressed !== "true";
  button.ariaPressed = String(on);
  return on;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").ariaPressed = String(theme === "dark");
}

setTheme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
$("theme").onclick = () => {
  const theme = $("theme").ariaPressed === "true" ? "light" : "dark";
  setTheme(theme);
  localStorage.setItem("theme", theme);
};
document.querySelector(".actions").onclick = ({ target }) => target.dataset.do && press(target);
$("drive").onclick = () => pressed($("drive")) && drive();
$("pause").onclick = () => { if (!pressed($("pause"))) for (const line of waiting.splice(0)) addRow(line); };
$("clear").onclick = () => { $("rows").replaceChildren(); $("empty").hidden = false; };
$("refusals-only").onchange = ({ target }) => $("rows").classList.toggle("only", target.checked);
follow();
showHeld();
setInterval(showHeld, 1000);
const tick = () => measure().catch(() => {}).then(() => setTimeout(tick, 1000)); // a server that is gone comes back
tick();
