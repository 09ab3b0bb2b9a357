"use strict";
// The list of questions: sorted by what the compared ranker wins or loses, filtered, searched, drawn on demand.

const BATCH = 40;
const SIGNS = { won: "▲", lost: "▼", same: "=", different: "≠", error: "✕" };

/** The mean share of common documents at depths 1 to `depth`: 1 if the tops are equal. */
function likeness(one, other, depth) {
  const [left, right] = [new Set(), new Set()];
  let common = 0;
  let sum = 0;
  const deep = Math.min(depth, Math.max(one.length, other.length));
  for (let at = 0; at < deep; at++) {
    if (at < one.length) { left.add(one[at]); if (right.has(one[at])) common++; }
    if (at < other.length) { right.add(other[at]); if (left.has(other[at])) common++; }
    sum += common / (at + 1);
  }
  return deep ? sum / deep : 1;
}

/** How the ranker did against the baseline: {kind, by, text}; a larger `by` is better, or more alike without judgements. */
function outcome(data, question, ranker, baseline) {
  const [order, base] = [question.orders[ranker], question.orders[baseline]];
  if (!order || order.error || !base || base.error) return { kind: "error", by: 0, text: "error" };
  if (!data.measure) {
    const alike = likeness(order.indexes, base.indexes, data.topK);
    const top = base.indexes.slice(0, data.topK);
    const shared = order.indexes.slice(0, data.topK).filter((index) => top.includes(index)).length;
    return { kind: alike > 0.9995 ? "same" : "different", by: shared + alike, text: `${shared} of ${top.length} shared` };
  }
  const by = (order.value ?? 0) - (base.value ?? 0);
  if (Math.abs(by) < 5e-4) return { kind: "same", by: 0, text: `same, ${(order.value ?? 0).toFixed(3)}` };
  return { kind: by > 0 ? "won" : "lost", by, text: `${by > 0 ? "+" : "−"}${Math.abs(by).toFixed(3)}` };
}

function questionList(data, section) {
  const baseline = Math.max(0, data.rankers.indexOf(data.baseline));
  const others = data.rankers.map((_, ranker) => ranker).filter((ranker) => ranker !== baseline);
  const state = { ranker: Math.max(0, data.rankers.indexOf(data.compared)), kind: "all", order: data.measure ? "won" : "apart", words: "", shown: BATCH };
  const kinds = data.measure ? ["won", "lost", "same", "error"] : ["different", "same", "error"];
  const searched = data.questions.map((question) =>
    [question.id, question.text, ...question.documents.map((number) => data.documents[number].slice(0, 2).join(" "))].join("\n"));
  const list = element("ol", { class: "questions" });
  const status = element("p", { class: "note", role: "status" });
  const more = element("button", { type: "button", class: "more", onclick: () => { state.shown += BATCH; draw(true); } });
  const bar = data.measure ? null : marksBar(data);
  let outcomes = [];
  let lowered = null;

  function sorted() {
    const numbers = data.questions.map((_, number) => number);
    const direction = { won: -1, lost: 1, apart: 1, given: 0 }[state.order];
    const last = (number) => (state.order !== "given" && outcomes[number].kind === "error" ? 1 : 0);
    return numbers.sort((one, other) => last(one) - last(other) || direction * (outcomes[one].by - outcomes[other].by) || one - other);
  }

  function matches(number) {
    if (state.kind !== "all" && outcomes[number].kind !== state.kind) return false;
    if (!state.words) return true;
    lowered ??= searched.map((text) => text.toLowerCase());
    return state.words.toLowerCase().split(/\s+/).every((word) => lowered[number].includes(word));
  }

  function compare() {
    outcomes = data.questions.map((question) => outcome(data, question, state.ranker, baseline));
    for (const button of filters.children) {
      const kind = button.dataset.kind;
      const count = kind === "all" ? outcomes.length : outcomes.filter((one) => one.kind === kind).length;
      button.replaceChildren(`${SIGNS[kind] ? SIGNS[kind] + " " : ""}${kind === "error" ? "errors" : kind} `, element("small", {}, String(count)));
    }
    draw();
  }

  function item(number) {
    const question = data.questions[number];
    const { kind, text } = outcomes[number];
    const columns = [baseline, state.ranker, ...others].filter((ranker, at, all) => all.indexOf(ranker) === at);
    const details = element("details", {},
      element("summary", {},
        element("span", { class: `outcome ${kind}` }, `${SIGNS[kind]} ${kind === "error" || kind === "same" || !data.measure ? "" : kind + " "}${text}`),
        element("h3", { dir: "auto", lang: "" }, question.text || question.id),
        element("small", { dir: "auto" }, question.id)));
    details.addEventListener("toggle", () => {
      if (details.open && !details.querySelector(".orders")) drawOrders(data, number, columns, details, () => bar?.refresh());
    });
    return element("li", {}, details);
  }

  function draw(isMore = false) {
    const found = sorted().filter(matches);
    const shown = found.slice(0, state.shown);
    if (isMore) list.append(...shown.slice(list.children.length).map(item));
    else list.replaceChildren(...shown.map(item));
    more.hidden = found.length <= state.shown;
    more.textContent = `Show ${Math.min(BATCH, found.length - state.shown)} more`;
    status.textContent = `${found.length.toLocaleString("en")} of ${data.questions.length.toLocaleString("en")} questions`;
    if (found.length > shown.length) status.textContent += `, the first ${shown.length} drawn`;
  }

  function select(label, choices, chosen, onchange) {
    const node = element("select", { onchange: () => onchange(node.value) }, ...choices.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
    return element("label", {}, `${label} `, node);
  }

  function again(change) {
    Object.assign(state, change, { shown: BATCH });
    draw();
  }

  const filters = element("div", { class: "filters", role: "group", "aria-label": "Filter" },
    ...["all", ...kinds].map((kind) => element("button", { type: "button", "data-kind": kind, "aria-pressed": String(kind === "all"), onclick: (event) => {
      for (const button of filters.children) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      again({ kind });
    } })));
  const search = element("input", { type: "search", placeholder: "Words in questions and documents", oninput: () => again({ words: search.value.trim() }) });
  const orders = data.measure
    ? [["won", "most won first"], ["lost", "most lost first"], ["given", "as given"]]
    : [["apart", "most different first"], ["given", "as given"]];
  const controls = element("div", { class: "bar" });
  if (others.length > 1) controls.append(select("Compare", others.map((ranker) => [String(ranker), data.rankers[ranker]]), String(state.ranker), (value) => { Object.assign(state, { ranker: Number(value), shown: BATCH }); compare(); }));
  controls.append(select("Sort", orders, state.order, (order) => again({ order })), element("label", { class: "search" }, "Search ", search), filters);
  section.append(
    element("p", { class: "note legend" }, data.measure
      ? `Each question against the baseline by ${data.measure}${data.silver ? " (◇ silver)" : ""}. Open one to see the orders: ● relevant, ○ not relevant, ? not judged; ▲ ▼ places moved since the baseline.`
      : "Open a question to see the orders. Press “? not judged” on a document to mark it; ▲ ▼ places moved since the baseline."),
    controls, ...(bar ? [bar] : []), status, list, more);
  compare();
  const first = list.querySelector("details");
  if (first) first.open = true;
}

{
  const data = JSON.parse(document.getElementById("data").textContent);
  const section = document.getElementById("questions");
  if (data.questions.length && data.rankers.length) questionList(data, section);
  else section.hidden = true;
}
