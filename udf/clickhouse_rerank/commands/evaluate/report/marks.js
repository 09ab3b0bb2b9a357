"use strict";
// Judgements that a person makes in this page: kept until the page is closed, and downloaded as a file.

/** A new element. Text only ever becomes a text node, so that no document can be markup. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

const marks = {
  grades: new Map(), // question's number -> Map of document's number -> grade
  isSaved: true,

  of(question, document_) {
    return this.grades.get(question)?.get(document_) ?? null;
  },

  /** From not judged to relevant, to not relevant, and back. */
  next(question, document_) {
    const grade = this.of(question, document_);
    const ofQuestion = this.grades.get(question) ?? new Map();
    this.grades.set(question, ofQuestion);
    if (grade === null) ofQuestion.set(document_, 1);
    else if (grade === 1) ofQuestion.set(document_, 0);
    else ofQuestion.delete(document_);
    this.isSaved = false;
  },

  /** [question's id, document's id, grade] of each judgement, in the order of the page. */
  rows(data) {
    return data.questions.flatMap((question, number) =>
      [...(this.grades.get(number) ?? [])]
        .sort(([one], [other]) => one - other)
        .map(([document_, grade]) => [question.id, data.documents[document_][0], grade]),
    );
  },
};

function asJsonLines(rows) {
  return rows.map(([question, document_, grade]) => JSON.stringify({ question, document: document_, grade }) + "\n").join("");
}

function asQrels(rows) {
  return rows.map(([question, document_, grade]) => `${question} 0 ${document_} ${grade}\n`).join("");
}

/** Hands the text to the browser as a file. Nothing is sent. */
function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  marks.isSaved = true;
}

addEventListener("beforeunload", (event) => {
  if (!marks.isSaved) event.preventDefault();
});

/** The bar with the number of judgements and the two downloads; `refresh` is called after each mark. */
function marksBar(data) {
  const count = element("span", { role: "status" });
  const jsonLines = element("button", { type: "button", onclick: () => download("judgements.jsonl", asJsonLines(marks.rows(data))) }, "Download JSONL");
  const qrels = element("button", { type: "button", onclick: () => download("judgements.qrels", asQrels(marks.rows(data))) }, "Download TREC qrels");
  const note = element("span", { class: "note" });
  const bar = element("div", { class: "bar marks" }, count, jsonLines, qrels, note);
  bar.refresh = () => {
    const rows = marks.rows(data);
    const isSpaced = rows.some(([question, document_]) => [question, document_].some((id) => !id || /\s/.test(id)));
    count.textContent = rows.length === 1 ? "1 judgement" : `${rows.length} judgements`;
    jsonLines.disabled = !rows.length;
    qrels.disabled = !rows.length || isSpaced;
    note.textContent = isSpaced ? "TREC qrels cannot hold ids with spaces." : "";
  };
  bar.refresh();
  return bar;
}
