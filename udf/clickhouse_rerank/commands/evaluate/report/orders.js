"use strict";
// One question: the rankers' orders side by side, lines from each document's place to its next, and a reader below.

const ROW = 58; // Pixels of a document in an order, as in the style sheet.
const GUTTER = 44;

function svgElement(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** What a grade is in words and as a mark: never as a colour alone. */
function gradeMark(grade) {
  if (grade === null) return ["none", "?", "not judged"];
  if (grade <= 0) return ["no", "○", "not relevant"];
  return ["yes", "●", grade === 1 ? "relevant" : `relevant, grade ${grade}`];
}

function moveText(place, before) {
  if (before < 0) return ["new", "new"];
  if (before === place) return ["same", "="];
  return before > place ? ["up", `▲ ${before - place}`] : ["down", `▼ ${place - before}`];
}

function orderHead(data, order, ranker) {
  const isBaseline = data.rankers[ranker] === data.baseline;
  const value = order && order.value !== null && order.value !== undefined ? `${data.measure} ${order.value.toFixed(3)}${data.silver ? " ◇" : ""}` : "";
  const head = element("h4", {}, element("span", { dir: "auto", class: "name" }, data.rankers[ranker]));
  if (isBaseline) head.append(element("span", { class: "tag" }, "baseline"));
  head.append(element("small", {}, value));
  return head;
}

/** Lines between two orders; a document that is not among the shown ones on both sides has none. */
function slopes(left, right, shown, gradeOf) {
  const height = shown * ROW;
  const svg = svgElement("svg", { viewBox: `0 0 ${GUTTER} ${height}`, width: GUTTER, height, class: "slopes", "aria-hidden": "true" });
  right.slice(0, shown).forEach((document_, place) => {
    const before = left.indexOf(document_);
    if (before < 0 || before >= shown) return;
    const [from, to] = [before, place].map((row) => row * ROW + ROW / 2);
    const line = svgElement("path", {
      d: `M0 ${from}C${GUTTER / 2} ${from} ${GUTTER / 2} ${to} ${GUTTER} ${to}`,
      class: (gradeOf(document_) ?? 0) > 0 ? "relevant" : "",
      "data-document": document_,
    });
    svg.append(line);
  });
  return svg;
}

/** Draws the orders of question `number` into `place`; `columns` are numbers of rankers, the baseline first. */
function drawOrders(data, number, columns, place, onMark) {
  const question = data.questions[number];
  const isJudged = Boolean(data.measure);
  const baseline = question.orders[columns[0]]?.indexes ?? [];
  const longest = Math.max(0, ...columns.map((ranker) => question.orders[ranker]?.indexes.length ?? 0));
  const state = { shown: Math.min(longest, data.topK), chosen: null };
  const gradeOf = (index) => (isJudged ? question.grades[index] : marks.of(number, question.documents[index]));
  const reader = element("div", { class: "reader", role: "status" });
  const grid = element("div", { class: "orders" });
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Orders side by side" }, grid);
  const more = element("button", { type: "button", class: "more", onclick: () => { state.shown = longest; draw(); } });

  function choose(index) {
    state.chosen = state.chosen === index ? null : index;
    for (const node of grid.querySelectorAll("[data-document]")) {
      const isChosen = node.dataset.document === String(state.chosen);
      node.classList.toggle("chosen", isChosen);
      if (node.tagName === "BUTTON") node.setAttribute("aria-expanded", isChosen);
    }
    read();
  }

  function read() {
    reader.replaceChildren();
    if (state.chosen === null) return;
    const [id, text, cut] = data.documents[question.documents[state.chosen]];
    const places = columns.map((ranker) => {
      const at = question.orders[ranker]?.indexes.indexOf(state.chosen) ?? -1;
      const score = at < 0 ? null : question.orders[ranker].scores[at];
      return `${data.rankers[ranker]}: ${at < 0 ? "not ranked" : `place ${at + 1}`}${score == null ? "" : ` (score ${score})`}`;
    });
    reader.append(
      element("p", { class: "note" }, "Document ", element("b", { dir: "auto" }, id), ` · ${gradeMark(gradeOf(state.chosen))[2]}`),
      element("p", { class: "text", dir: "auto", lang: "" }, text || "(empty)"),
    );
    if (cut) reader.append(element("p", { class: "note" }, `… and ${cut.toLocaleString("en")} characters that this page does not hold.`));
    reader.append(element("p", { class: "note" }, places.join(" · ")));
  }

  function mark(index) {
    marks.next(number, question.documents[index]);
    for (const node of grid.querySelectorAll(`.mark[data-of="${index}"]`)) setMark(node, index);
    const isRelevant = (gradeOf(index) ?? 0) > 0;
    for (const node of grid.querySelectorAll(`[data-document="${index}"]`)) (node.closest("li") ?? node).classList.toggle("relevant", isRelevant);
    read();
    onMark();
  }

  function setMark(node, index) {
    const [kind, sign, words] = gradeMark(gradeOf(index));
    node.className = `mark ${kind}`;
    node.textContent = `${sign} ${words}`;
  }

  function row(index, at, isBaseline) {
    const text = data.documents[question.documents[index]][1];
    const [kind, move] = moveText(at, baseline.indexOf(index));
    const before = baseline.indexOf(index) + 1;
    const sign = isJudged ? element("span", {}) : element("button", { type: "button", title: "Mark: relevant, not relevant, not judged", onclick: () => mark(index) });
    sign.dataset.of = index;
    setMark(sign, index);
    const isChosen = index === state.chosen;
    const open = element("button", { type: "button", class: `document${isChosen ? " chosen" : ""}`, "data-document": index, "aria-expanded": isChosen, onclick: () => choose(index) },
      element("span", { class: "text", dir: "auto", lang: "" }, text.slice(0, 300) || "(empty)"));
    const label = kind === "same" ? "same place" : kind === "new" ? "not in the baseline's order" : `from place ${before}`;
    return element("li", { class: (gradeOf(index) ?? 0) > 0 ? "relevant" : "" },
      element("span", { class: "place" }, String(at + 1)), open,
      element("span", { class: "facts" }, sign, isBaseline ? null : element("span", { class: `move ${kind}`, title: label, "aria-label": label }, move)));
  }

  function draw() {
    grid.replaceChildren();
    columns.forEach((ranker, column) => {
      const order = question.orders[ranker];
      if (column) {
        const left = question.orders[columns[column - 1]]?.indexes ?? [];
        grid.append(element("div", { class: "gutter" }, slopes(left, order?.indexes ?? [], state.shown, gradeOf)));
      }
      const side = element("section", { class: "order" }, orderHead(data, order, ranker));
      if (!order || order.error || !order.indexes.length) side.append(element("p", { class: "error", dir: "auto" }, order?.error ? `✕ ${order.error}` : "✕ no ranking"));
      else side.append(element("ol", {}, ...order.indexes.slice(0, state.shown).map((index, at) => row(index, at, column === 0))));
      grid.append(side);
    });
    more.hidden = state.shown >= longest;
    more.textContent = `Show all ${longest} places`;
  }

  draw();
  place.append(scroll, more, reader);
}
