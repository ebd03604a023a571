// Keeps what a page shows up to date: the server says that something changed, and the page is read again.
import { Idiomorph } from "idiomorph";

const LATER = 10_000; // ms until the next attempt, where the server refuses

/** Follow the page's stream, if it has one. A form that somebody fills stays as it is. */
export function followChanges(): void {
  const address = document.querySelector<HTMLElement>("main[data-live]")?.dataset["live"];
  if (address) follow(address);
}

function follow(address: string): void {
  const source = new EventSource(address);
  source.addEventListener("changed", () => void refresh());
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(address), LATER);
  };
}

async function refresh(): Promise<void> {
  const reply = await fetch(location.href, { redirect: "error" }).catch(() => undefined);
  if (!reply?.ok) return; // the next change, or the next page, tells
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
  for (const part of document.querySelectorAll<HTMLElement>("[data-fresh]")) {
    const found = fresh.getElementById(part.id);
    if (found) {
      Idiomorph.morph(part, found, {
        ignoreActiveValue: true,
        callbacks: {
          beforeAttributeUpdated: (name: string, node: Element) => !(name === "open" && node instanceof HTMLDetailsElement),
        },
      });
    }
  }
  document.dispatchEvent(new Event("freshened"));
}
