// `.env` files by the rules of python-dotenv, which the command line reads them with: the same file, the same values.
// npm's dotenv ends a value at each `#`, and says nothing of a broken line. tests/unit/test_dashboard_script.py compares.

const RULES = {
  space: /\s*/y,
  blank: /[^\S\r\n]*/y,
  export: /(?:export[^\S\r\n]+)?/y,
  quotedKey: /'([^']+)'/y,
  key: /([^=#\s]+)/y,
  equals: /=[^\S\r\n]*/y,
  single: /'((?:\\[^]|[^'\\])*)'/y,
  double: /"((?:\\[^]|[^"\\])*)"/y,
  plain: /([^\r\n]*)/y,
  comment: /(?:[^\S\r\n]*#[^\r\n]*)?/y,
  end: /[^\S\r\n]*(?:\r\n|\n|\r|$)/y,
};
const ESCAPES: Record<string, string> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/** Keys and values, the last one of a key that stands there twice; fails with the number of a line that is neither. */
export function parse(text: string): [string, string][] {
  const found = new Map<string, string>();
  let at = 0;
  const read = (rule: RegExp): string => {
    rule.lastIndex = at;
    const match = rule.exec(text);
    if (!match) throw new Error(`Line ${text.slice(0, at).split(/\r\n|\n|\r/).length} is no KEY=value.`);
    at += match[0].length;
    return match[1] ?? match[0];
  };
  const value = (): string => {
    if (text[at] === "'") return read(RULES.single).replace(/\\([\\'])/g, "$1");
    if (text[at] === '"') return read(RULES.double).replace(/\\([\\'"abfnrtv])/g, (_, each: string) => ESCAPES[each] ?? each);
    return read(RULES.plain).replace(/\s+#.*/, "").trimEnd();
  };
  for (read(RULES.space); at < text.length; read(RULES.space)) {
    read(RULES.export);
    if (text[at] !== "#") {
      const key = read(text[at] === "'" ? RULES.quotedKey : RULES.key);
      read(RULES.blank);
      const spaced = read(RULES.equals).length > 1;
      found.set(key, spaced && text[at] === "#" ? "" : value()); // a comment, and no value
    }
    read(RULES.comment);
    read(RULES.end);
  }
  return [...found];
}
