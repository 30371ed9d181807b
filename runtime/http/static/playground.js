"use strict";

const part = (id) => document.getElementById(id);

/** Ask one document; the answer's status and its JSON. The token is kept in its field only. */
async function ask(query, variables) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${part("token").value.trim()}` };
  const answer = await fetch("/graphql", { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  return { status: answer.status, body: await answer.json() };
}

async function run() {
  let variables;
  try {
    variables = JSON.parse(part("variables").value || "{}");
  } catch {
    part("status").textContent = "The variables are not JSON.";
    return;
  }
  const began = performance.now();
  const { status, body } = await ask(part("document").value, variables);
  part("status").textContent = `${status} in ${Math.round(performance.now() - began)} ms`;
  part("answer").textContent = JSON.stringify(body, null, 2);
  if (status === 200 && !part("fields").childElementCount) await describe();
}

const NAMED = "kind name ofType { kind name ofType { kind name ofType { kind name } } }";
const DESCRIBED = `{ __schema { queryType { fields { name description type { ${NAMED} }
  args { name description type { ${NAMED} } } } }
  types { name fields { name type { ${NAMED} } } } } }`;

/** `[Torrent!]!` of a described type. */
function written(type) {
  if (type.kind === "NON_NULL") return `${written(type.ofType)}!`;
  return type.kind === "LIST" ? `[${written(type.ofType)}]` : type.name;
}

const bare = (type) => (type.ofType ? bare(type.ofType) : type.name);

/** List the root fields with their arguments, and what is in their answers. */
async function describe() {
  const { status, body } = await ask(DESCRIBED, {});
  if (status !== 200) return;
  const types = new Map(body.data.__schema.types.map((type) => [type.name, type]));
  for (const field of body.data.__schema.queryType.fields) {
    const given = field.args.map((one) => `${one.name}: ${written(one.type)}`).join(", ");
    const entry = document.createElement("details");
    entry.dataset.name = field.name;
    const [title, about, answers] = ["summary", "p", "pre"].map((kind) => document.createElement(kind));
    title.textContent = `${field.name}${given && `(${given})`}: ${written(field.type)}`;
    about.textContent = field.description || "";
    const inside = types.get(bare(field.type)).fields || [];
    answers.textContent = inside.map((one) => `${one.name}: ${written(one.type)}`).join("\n");
    entry.append(title, about, answers);
    part("fields").append(entry);
  }
}

part("ask").addEventListener("click", run);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});
part("filter").addEventListener("input", () => {
  for (const entry of part("fields").children) entry.hidden = !entry.dataset.name.includes(part("filter").value);
});
