"use strict";
// The page of convo studio. What people wrote is only ever set as text, never as markup.
const token = document.querySelector('meta[name="convo-token"]').content;
const $ = (id) => document.getElementById(id);
let drawn = null;
let last = null;

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

async function act(what) {
  try {
    const answer = await fetch("/do", {
      method: "POST",
      headers: { "content-type": "application/json", "x-convo-token": token },
      body: JSON.stringify(what),
    });
    const type = answer.headers.get("content-type") || "";
    const found = type.includes("json") ? await answer.json() : { problem: await answer.text() };
    say(answer.ok ? "" : found.problem);
    return answer.ok ? found : null;
  } catch {
    say("the studio does not answer; is it still running?");
    return null;
  }
}

function say(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// -- phones ------------------------------------------------------------------------------------------

function phoneCard(number) {
  const input = made("input", { name: "text", "aria-label": `Text from ${number}`, placeholder: "Write a text", autocomplete: "off", maxlength: 2000 });
  const chat = made("ol", { class: "chat", tabindex: "0", role: "log", "aria-label": `Chat with ${number}` });
  const button = (name, label, title) => made("button", { type: "button", title, "data-does": name, onclick: () => act({ act: name, phone: number }) }, label);
  const given = made("div", { class: "given" });
  const open = made("button", { type: "button", title: "Open the conversation from our side", onclick: () => {
    const values = {};
    for (const field of given.querySelectorAll("input")) values[field.name] = field.value;
    act({ act: "open", phone: number, given: values });
  } }, "We start");
  const form = made("form", { class: "write", onsubmit: async (event) => {
    event.preventDefault();
    const text = input.value;
    input.focus(); // now: later it would be taken from where the author has gone since
    if (!text.trim()) return;
    input.value = "";
    if (!(await act({ act: "send", phone: number, text })) && !input.value) input.value = text;
  } }, input, made("button", { class: "main" }, "Send"));
  return made("article", { class: "phone", "data-number": number },
    made("h2", {}, made("span", {}, number), made("small")), chat, given, form,
    made("div", { class: "bar", role: "group", "aria-label": `More for ${number}` }, open,
      button("again", "Duplicate", "The provider hands the last text out a second time"),
      button("swap", "Swap", "Your next two texts arrive the other way round")));
}

function bubble(said) {
  if (said.who === "note") return made("li", { class: "note" }, said.text);
  const price = made("span", { class: "cost" }, `${said.at} · ${said.segments} ${said.segments === 1 ? "segment" : "segments"} · ${said.units} ${said.encoding}`);
  if (said.culprits.length) price.append(" ", made("b", {}, `because of ${said.culprits.map(named).join(" ")}`));
  return made("li", { class: said.who }, made("span", { class: "bubble" }, said.text), price);
}

function named(letter) {
  const code = "U+" + letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return letter.trim() ? `${letter} (${code})` : code;
}

function showPhones(picture) {
  const box = $("phones");
  const before = last ? last.phones : [];
  let focus = null;
  for (const each of [...box.querySelectorAll(".phone")]) {
    if (!picture.phones.some((phone) => phone.number === each.dataset.number)) each.remove();
  }
  for (const phone of picture.phones) {
    let card = [...box.querySelectorAll(".phone")].find((each) => each.dataset.number === phone.number);
    if (!card) {
      card = phoneCard(phone.number);
      const add = box.querySelector(".add");
      if (add) add.before(card); else box.append(card);
      focus = card.querySelector(".write input");
    }
    const standing = phone.ended ? `ended: ${phone.ended}` : phone.state || "no conversation yet";
    card.querySelector("h2 small").textContent = standing;
    const chat = card.querySelector(".chat");
    const old = before.find((each) => each.number === phone.number);
    if (!old || JSON.stringify(old.chat) !== JSON.stringify(phone.chat)) {
      const empty = made("li", { class: "empty" }, "Nothing has been said. Write a text, or let us start.");
      chat.replaceChildren(...(phone.chat.length ? phone.chat.map(bubble) : [empty]));
      chat.scrollTop = chat.scrollHeight;
    }
    const swap = card.querySelector('[data-does="swap"]');
    swap.setAttribute("aria-pressed", String(phone.swapping));
    swap.disabled = phone.held;
    const given = card.querySelector(".given");
    const names = phone.state && !phone.ended ? [] : picture.given;
    if (given.dataset.names !== JSON.stringify(names)) {
      given.dataset.names = JSON.stringify(names);
      given.hidden = !names.length;
      given.replaceChildren(...names.map((each) => made("label", {}, `${each.name} (${each.type})`, made("input", { name: each.name, required: each.needed, autocomplete: "off" }))));
    }
  }
  if (!box.querySelector(".add")) box.append(made("button", { class: "add", type: "button", onclick: () => act({ act: "phone", number: "" }) }, "+ another phone"));
  if (focus && (!last || document.activeElement === document.body || document.activeElement.classList.contains("add"))) focus.focus({ preventScroll: !last });
}

// -- diagram, facts, problems ------------------------------------------------------------------------

async function showDiagram(picture) {
  const box = $("diagram");
  if (drawn !== picture.drawn) {
    drawn = picture.drawn;
    const answer = await fetch("/diagram");
    const found = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
    const diagram = document.importNode(found, true);
    const [, , width, height] = diagram.getAttribute("viewBox").split(/\s+/).map(Number);
    diagram.setAttribute("width", width);
    diagram.setAttribute("height", height);
    box.replaceChildren(diagram);
  }
  const shown = box.firstElementChild;
  if (!shown) return; // it is being fetched
  const whole = $("whole").getAttribute("aria-pressed") === "true";
  shown.classList.toggle("fits", whole || Number(shown.getAttribute("width")) < 1.4 * box.clientWidth);
  for (const each of box.querySelectorAll(".here, .taken")) each.classList.remove("here", "taken");
  const now = last || picture;
  for (const phone of now.phones) {
    const node = phone.node && document.getElementById(phone.node);
    if (node) {
      node.classList.add("here");
      // Only the diagram moves, never the page.
      const at = node.getBoundingClientRect(), frame = box.getBoundingClientRect();
      box.scrollLeft += at.left + at.width / 2 - frame.left - frame.width / 2;
      box.scrollTop += at.top + at.height / 2 - frame.top - frame.height / 2;
    }
    for (const id of phone.taken) document.getElementById(id)?.classList.add("taken");
  }
  box.setAttribute("aria-label", "The flow's diagram. " + now.phones.filter((phone) => phone.state).map((phone) => `${phone.number} is in ${phone.state}`).join("; "));
}

function showFacts(picture) {
  const several = picture.phones.length > 1;
  $("people").replaceChildren(...picture.phones.map((phone) => {
    const facts = made("dl", {}, made("dt", {}, "state"), made("dd", { "data-fact": "state" }, phone.state || "none"));
    if (phone.ended) facts.append(made("dt", {}, "ended"), made("dd", {}, phone.ended));
    if (phone.tries) facts.append(made("dt", {}, "wrong answers"), made("dd", {}, String(phone.tries)));
    for (const each of phone.data) facts.append(made("dt", {}, each.name), made("dd", {}, each.value));
    const timers = phone.timers.map((each) => made("li", {}, each.name, made("br"), made("small", {}, `${each.at} · in ${each.in}`)));
    return made("div", { class: "card" }, made("h2", {}, several ? phone.number : "State and data"), facts,
      made("h2", {}, "Pending timers"), made("ul", {}, ...(timers.length ? timers : [made("li", {}, made("small", {}, "none"))])));
  }));
}

function showServices(picture) {
  const box = $("services");
  const same = JSON.stringify(picture.services);
  if (box.dataset.shown === same) return;
  box.dataset.shown = same;
  box.replaceChildren(...picture.services.map((each) => {
    const fields = each.saves.map((name) => made("label", {}, name, made("input", { name, autocomplete: "off" })));
    const answer = (result) => made("button", { type: "button", "aria-pressed": String(each.answers === result), onclick: () => {
      const values = {};
      for (const [index, name] of each.saves.entries()) values[name] = fields[index].querySelector("input").value;
      act({ act: "calls", service: each.name, result, values });
    } }, result);
    return made("div", { class: "card" }, made("h2", {}, `Service ${each.name}`), made("div", { class: "given" }, ...fields),
      made("div", { class: "bar", role: "group", "aria-label": `${each.name} answers` }, "answers", answer("ok"), answer("error"), answer("timeout")));
  }));
}

function showProblems(picture) {
  const lines = picture.problems.map((each) => made("p", { class: each.severity }, made("code", {}, `${each.where} ${each.code} `), each.text));
  for (const phone of picture.phones.filter((each) => each.gone)) {
    lines.push(made("p", { class: "error" }, `The state '${phone.state}' of ${phone.number} is gone. Begin a new chat, or write 'moved: {${phone.state}: NEW_STATE}' in the flow.`));
  }
  if (!lines.length) lines.push(made("p", { class: "fine" }, `${picture.file}: no problems`));
  $("problems").replaceChildren(...lines);
}

function show(picture) {
  document.title = `${picture.flow} · convo studio`;
  $("flow").textContent = picture.flow;
  $("about").textContent = picture.about;
  $("clock").textContent = `${picture.now} (${picture.zone}; time stands still until you let it pass)`;
  showPhones(picture);
  showFacts(picture);
  showServices(picture);
  showProblems(picture);
  last = picture;
  showDiagram(picture);
}

// -- buttons -----------------------------------------------------------------------------------------

for (const each of document.querySelectorAll("[data-wait]")) each.addEventListener("click", () => act({ act: "wait", for: each.dataset.wait }));
for (const each of document.querySelectorAll("[data-act]")) each.addEventListener("click", () => act({ act: each.dataset.act }));
$("whole").addEventListener("click", (event) => {
  const pressed = event.currentTarget.getAttribute("aria-pressed") !== "true";
  event.currentTarget.setAttribute("aria-pressed", String(pressed));
  if (last) showDiagram(last);
});
$("wait").addEventListener("submit", (event) => {
  event.preventDefault();
  act({ act: "wait", for: event.target.elements.for.value });
});

async function saved(write) {
  const found = await act({ act: "save", name: $("case-name").value, write });
  if (!found) {
    $("case-note").textContent = $("notice").textContent;
    return;
  }
  $("case").textContent = found.case;
  $("case-note").textContent = found.wrote ? `written to ${found.wrote}` : "";
}
$("save").addEventListener("click", () => { $("saving").showModal(); saved(false); });
$("case-name").addEventListener("change", () => saved(false));
$("write").addEventListener("click", () => saved(true));
$("copy").addEventListener("click", () => navigator.clipboard.writeText($("case").textContent).then(() => { $("case-note").textContent = "copied"; }, () => { $("case-note").textContent = "the browser did not allow that"; }));
$("saving").querySelector("form").addEventListener("submit", () => $("saving").close());

const events = new EventSource("/events");
events.addEventListener("picture", (event) => show(JSON.parse(event.data)));
events.addEventListener("error", () => say("the studio does not answer; is it still running?"));
events.addEventListener("open", () => say(""));
