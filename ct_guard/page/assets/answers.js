/* Answers in clear: chosen by kind, filtered by value, searched by text. */

const PAGE = 25;
const filters = new Map(); // by column, the select
let most = PAGE;

/* Of a row, what it holds in a column. */
function valueOf(row, column) {
  return column === "model" ? row.model ?? "(none)" : row.values[column];
}

function chosenRows() {
  const { rows, mistakes, doubted, sample } = content.answers;
  const kind = byId("kind").value;
  const places = { mistakes: mistakes[state.of], doubted: doubted[state.of], sample, all: rows.map((row, at) => at) }[kind];
  const verdict = byId("verdict").value;
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  return places.map((at) => rows[at]).filter((row) =>
    (verdict === "" || row.correct === (verdict === "right"))
    && [...filters].every(([column, select]) => select.value === "" || valueOf(row, column) === select.options[select.selectedIndex].dataset.text)
    && words.every((word) => [row.question, row.answer, row.id ?? "", row.model ?? ""].some((text) => text.toLowerCase().includes(word))));
}

function rowItem(row) {
  const p = row.p.map((one, of) => (row.p.length > 1 ? `${NAMES[of]}: ${number(one, 4)}` : number(one, 4))).join(" · ");
  const tells = [row.model, row.id && `id ${row.id}`, ...Object.entries(row.values).map(([name, value]) => `${name}: ${value}`), row.where];
  return make("li", {},
    make("div", { class: "head" }, make("span", { class: "p" }, p),
      make("span", { class: row.correct ? "right" : "wrong" }, row.correct ? "right" : "wrong"),
      ...tells.filter(known).filter((one) => one !== "").map((one) => make("bdi", {}, one))),
    make("p", { class: "text question" }, row.question),
    make("p", { class: "text answer" }, row.answer));
}

function showAnswers() {
  const rows = chosenRows();
  byId("rows").replaceChildren(...rows.slice(0, most).map(rowItem));
  put("found", `${count(rows.length)} of the ${count(content.answers.rows.length)} answers in this file`);
  byId("more").hidden = rows.length <= most;
}

function filterAgain() {
  most = PAGE;
  showAnswers();
}

function startAnswers() {
  const { rows } = content.answers;
  const columns = new Set(rows.flatMap((row) => Object.keys(row.values)));
  if (rows.some((row) => known(row.model))) columns.add("model");
  for (const column of columns) {
    const values = [...new Set(rows.map((row) => valueOf(row, column)))].sort();
    if (values.length < 2) continue;
    const select = make("select", { "data-column": column }, make("option", { value: "" }, "any"),
      ...values.map((value, at) => make("option", { value: at + 1, "data-text": value }, value)));
    filters.set(column, select);
    select.addEventListener("change", filterAgain);
    byId("value-filters").append(make("label", {}, column, select));
  }
  for (const id of ["kind", "verdict"]) byId(id).addEventListener("change", filterAgain);
  byId("search").addEventListener("input", filterAgain);
  byId("more").addEventListener("click", () => {
    most += PAGE;
    showAnswers();
  });
}
