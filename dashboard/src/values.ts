// The form that takes values: each is sealed for its place before anything is sent, and its field emptied.
import { parse } from "./env";
import { type Place, type SealingKey, VALUE_MAX, seal } from "./seal";

const KEY = /^[A-Za-z0-9_-]{1,64}$/;
const KEYS_MAX = 256;
const FILE_MAX = 2 ** 21; // bytes
const utf8 = new TextEncoder();

interface Value {
  row: HTMLElement;
  key: string;
  secret: HTMLTextAreaElement;
}

/** Have a form seal what is typed into it. Fields without a name are never sent. */
export function takeValues(form: HTMLFormElement): void {
  const rows = one<HTMLElement>(form, "[data-values]");
  const answer = form.querySelector<HTMLElement>("[data-answer]");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    told(form, () => send(form));
  });
  form.addEventListener("click", (event) => {
    const pressed = (event.target as Element).closest<HTMLButtonElement>("button[data-do]");
    const row = pressed?.closest<HTMLElement>("[data-value]");
    if (pressed?.dataset["do"] === "add") focus(added(form, rows, "", ""));
    if (pressed?.dataset["do"] === "remove") row?.remove();
    if (pressed?.dataset["do"] === "show") toggle(row, pressed);
    if (pressed?.dataset["do"] === "preview" && answer) told(form, () => preview(form, answer));
  });
  offerFiles(form, rows);
  if (rows.dataset["values"] === "many" && !rows.querySelector("[data-value]")) added(form, rows, "", "");
  for (const button of form.querySelectorAll<HTMLButtonElement>("button[data-script]")) button.disabled = false;
  for (const note of form.querySelectorAll<HTMLElement>("[data-unscripted]")) note.hidden = true;
}

async function send(form: HTMLFormElement): Promise<void> {
  const values = filled(form);
  const key = JSON.parse(form.dataset["sealing"] ?? "") as SealingKey;
  const place = { kind: form.dataset["kind"] ?? "", namespace: text(form, "organization"), name: text(form, "name") };
  const body = new URLSearchParams([...new FormData(form)].map(([name, value]) => [name, String(value)]));
  for (const each of values) body.append(`sealed.${each.key}`, await sealed(key, { ...place, key: each.key }, each));
  const page = await posted(form.action, body);
  for (const each of values) each.secret.value = "";
  location.assign(page.url);
}

/** Send a form as the browser would, and stay on the page if it is refused: what was typed is not lost. */
async function posted(address: string, body: URLSearchParams): Promise<Response> {
  const reply = await fetch(address, { method: "POST", body }).catch(() => undefined);
  if (!reply) throw new Error("The server did not answer. Nothing is known to be stored: look, and try again.");
  const end = new URL(reply.url);
  if (end.pathname === "/sign-in" && !end.searchParams.has("next")) {
    throw new Error("You are not signed in any more. Sign in on another page, then try again here.");
  }
  if (!reply.ok && !reply.redirected) { // else it is done, and only the page after it is not there
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    throw new Error(page.querySelector("[data-says]")?.textContent?.trim() || `The server refused it (${reply.status}).`);
  }
  return reply;
}

async function sealed(key: SealingKey, place: Place, value: Value): Promise<string> {
  const bytes = utf8.encode(value.secret.value);
  if (bytes.length > VALUE_MAX) {
    throw new Error(`The value of ${value.key} is ${bytes.length.toLocaleString("en")} bytes long, and may have ${VALUE_MAX.toLocaleString("en")}.`);
  }
  const made = await seal(key, place, bytes);
  bytes.fill(0);
  return made;
}

/** The rows with their keys; fails with words for the user where they are not as they have to be. */
function filled(form: HTMLFormElement): Value[] {
  const values = [...form.querySelectorAll<HTMLElement>("[data-value]")].map((row) => ({
    row,
    key: row.dataset["value"] || one<HTMLInputElement>(row, "input[data-key]").value.trim(),
    secret: one<HTMLTextAreaElement>(row, "textarea[data-secret]"),
  }));
  if (!values.length) throw new Error("Add a key first.");
  if (values.length > KEYS_MAX) throw new Error(`A set has at most ${KEYS_MAX} keys.`);
  const seen = new Set<string>();
  for (const { row, key, secret } of values) {
    if (!KEY.test(key)) throw mark(row, `A key is 1 to 64 letters, digits, '_' and '-'.`);
    if (seen.has(key)) throw mark(row, `The key ${key} stands there twice.`);
    if (!row.dataset["asItIs"]) {
      if (!secret.value) throw mark(row, `Type the value of ${key}, or take the row away.`);
      if (/^[^\r\n]*\r?\n$/.test(secret.value)) {
        throw mark(row, `The value of ${key} ends with a line break, which would be part of it: take it away (Show shows it).`);
      }
    }
    seen.add(key);
  }
  return values;
}

function mark(row: HTMLElement, says: string): Error {
  focus(row);
  return new Error(says);
}

/** What a change of the keys that are typed would restart: the server answers with a piece of a page. */
async function preview(form: HTMLFormElement, answer: HTMLElement): Promise<void> {
  const keys = [...form.querySelectorAll<HTMLInputElement>("input[data-key]")].map((field) => field.value.trim()).filter((key) => KEY.test(key));
  if (!keys.length) throw new Error("Type a key first.");
  answer.textContent = "Asking …";
  try {
    const asked = new URLSearchParams({ uid: text(form, "uid"), keys: [...new Set(keys)].join(",") });
    const reply = await posted(form.dataset["preview"] ?? "", asked);
    const found = new DOMParser().parseFromString(await reply.text(), "text/html");
    answer.replaceChildren(...found.querySelectorAll("[data-part]"));
  } catch (error) {
    answer.textContent = "";
    throw error;
  }
}

/** Take keys out of a .env file that is chosen, or dropped on the page. It is read here, and not sent. */
function offerFiles(form: HTMLFormElement, rows: HTMLElement): void {
  const file = form.querySelector<HTMLInputElement>("input[data-file]");
  const choice = form.querySelector<HTMLElement>("[data-choice]");
  if (!file || !choice) return;
  const read = (chosen: File | undefined): void => {
    if (chosen) told(form, () => offer(form, rows, choice, chosen));
  };
  file.addEventListener("change", () => {
    read(file.files?.[0]);
    file.value = "";
  });
  for (const name of ["dragover", "drop"] as const) {
    document.addEventListener(name, (event) => {
      event.preventDefault(); // else the browser opens the file
      document.body.classList.toggle("dropping", name === "dragover");
      if (name === "drop") read(event.dataTransfer?.files[0]);
    });
  }
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
}

async function offer(form: HTMLFormElement, rows: HTMLElement, choice: HTMLElement, file: File): Promise<void> {
  if (file.size > FILE_MAX) throw new Error("That is no .env file: it is longer than 2 MiB.");
  const found = parse(await textOf(file));
  if (!found.length) throw new Error("No KEY=value was found in that file.");
  const list = one<HTMLElement>(choice, "[data-list]");
  list.replaceChildren(
    ...found.map(([key, value]) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.value = key;
      box.checked = KEY.test(key) && value !== "";
      box.disabled = !KEY.test(key);
      const hint = document.createElement("span");
      hint.className = "hint";
      hint.textContent = box.disabled ? "can be no key" : `${value.length} characters`;
      label.append(box, ` ${key} `, hint);
      return label;
    }),
  );
  const take = one<HTMLButtonElement>(choice, "[data-take]");
  take.onclick = () => {
    const chosen = new Set([...list.querySelectorAll<HTMLInputElement>("input:checked")].map((box) => box.value));
    for (const row of rows.querySelectorAll<HTMLElement>("[data-value]")) {
      const key = one<HTMLInputElement>(row, "input[data-key]").value.trim();
      if (chosen.has(key) || (!key && !one<HTMLTextAreaElement>(row, "textarea[data-secret]").value)) row.remove();
    }
    for (const [key, value] of found) if (chosen.has(key)) added(form, rows, key, value);
    list.replaceChildren();
    choice.hidden = true;
    take.onclick = null; // and with it what was read
  };
  choice.hidden = false;
  take.focus();
}

async function textOf(file: File): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error("That file is no UTF-8 text.");
  }
}

function added(form: HTMLFormElement, rows: HTMLElement, key: string, value: string): HTMLElement {
  const made = one<HTMLTemplateElement>(form, "template[data-row]").content.firstElementChild?.cloneNode(true) as HTMLElement;
  one<HTMLInputElement>(made, "input[data-key]").value = key;
  one<HTMLTextAreaElement>(made, "textarea[data-secret]").value = value;
  if (key) {
    made.dataset["asItIs"] = "from a file";
    one<HTMLTextAreaElement>(made, "textarea[data-secret]").required = false;
  }
  rows.append(made);
  return made;
}

function toggle(row: HTMLElement | null | undefined, button: HTMLButtonElement): void {
  const shown = row?.classList.toggle("shown") ?? false;
  button.setAttribute("aria-pressed", String(shown));
}

function focus(row: HTMLElement): void {
  row.querySelector<HTMLElement>("input[data-key], textarea[data-secret]")?.focus();
}

/** Do something, and tell the user where it fails; only words of ours are shown. */
function told(form: HTMLFormElement, work: () => Promise<void>): void {
  const alert = one<HTMLElement>(form, "[data-error]");
  const buttons = form.querySelectorAll<HTMLButtonElement>("button[data-script]");
  alert.hidden = true;
  for (const button of buttons) button.disabled = true;
  work()
    .catch((error: unknown) => {
      alert.textContent = error instanceof Error ? error.message : "That did not work.";
      alert.hidden = false;
    })
    .finally(() => {
      for (const button of buttons) button.disabled = false;
    });
}

function text(form: HTMLFormElement, name: string): string {
  const field = form.elements.namedItem(name);
  return field instanceof HTMLInputElement || field instanceof HTMLSelectElement ? field.value.trim() : "";
}

function one<E extends Element>(within: ParentNode, selector: string): E {
  const found = within.querySelector<E>(selector);
  if (!found) throw new Error(`The page lacks ${selector}: load it again.`);
  return found;
}
