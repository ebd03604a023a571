// A button beside each command, which copies it.

/** Add the buttons that are not there yet. */
export function offerCopies(): void {
  for (const code of document.querySelectorAll<HTMLElement>(".commands code")) {
    if (code.nextElementSibling instanceof HTMLButtonElement) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${code.textContent}`);
    button.addEventListener("click", () => void copied(code.textContent ?? "", button));
    code.after(button);
  }
}

async function copied(text: string, button: HTMLButtonElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it yourself: the browser forbids it";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}
