// Keeps what a page shows up to date: the server says that something changed, and the page is read again.
import { Idiomorph } from "idiomorph";

const LATER = 10_000; // ms until the next attempt, where the server refuses or does not answer

let source: EventSource | undefined;
let reading: Promise<void> | undefined;
let again = false;

/** Follow the page's stream, if it has one, while somebody looks: browsers open few connections to one server. */
export function followChanges(): void {
  const address = document.querySelector<HTMLElement>("main[data-live]")?.dataset["live"];
  if (!address) return;
  follow(address);
  document.addEventListener("visibilitychange", () => {
    source?.close();
    source = undefined;
    if (document.hidden) return;
    refresh();
    follow(address);
  });
}

function follow(address: string): void {
  if (source || document.hidden) return;
  const opened = new EventSource(address);
  source = opened;
  opened.addEventListener("changed", refresh);
  opened.onerror = () => {
    if (opened.readyState !== EventSource.CLOSED || source !== opened) return;
    source = undefined;
    setTimeout(() => follow(address), LATER);
    refresh(); // tells why
  };
}

/** Read the page again, once more if something changed meanwhile. */
function refresh(): void {
  again = true;
  reading ??= read().finally(() => (reading = undefined));
}

async function read(): Promise<void> {
  while (again && !document.hidden) {
    again = false;
    const reply = await fetch(location.href).catch(() => undefined);
    const page = reply && new DOMParser().parseFromString(await reply.text().catch(() => ""), "text/html");
    if (reply && page && !reply.redirected && (reply.ok || reply.status === 404)) {
      if (reply.ok) show(page);
      tell(reply.ok ? "" : (page.querySelector("[data-says]")?.textContent ?? ""));
      if (reply.status === 404 || !page.querySelector("[data-incomplete]")) continue;
    } else {
      tell(reply?.redirected ? "You are not signed in any more: what is here is not up to date." : "The server does not answer: what is here is not up to date.");
    }
    await new Promise((resolve) => setTimeout(resolve, reply?.ok ? LATER / 5 : LATER));
    again = true;
  }
}

function show(page: Document): void {
  const uid = document.querySelector<HTMLInputElement>("input[name=uid]");
  const now = page.querySelector<HTMLInputElement>("input[name=uid]");
  if (uid && now && uid.value !== now.value) return location.reload(); // another object has the name
  for (const part of document.querySelectorAll<HTMLElement>("[data-fresh]")) {
    const found = page.getElementById(part.id);
    if (!found || part.querySelector("details[open] form")) continue; // what somebody is about to do stays under their hand
    Idiomorph.morph(part, found, { ignoreActiveValue: true });
  }
  document.dispatchEvent(new Event("freshened"));
}

function tell(says: string): void {
  const note = document.getElementById("stale");
  if (!note || note.textContent === says) return;
  note.textContent = says;
  note.hidden = !says;
}
