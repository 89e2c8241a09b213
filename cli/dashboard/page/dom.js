// What the page is built with. Everything that is shown goes through here as text, never as HTML.

export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`BUG: there is no #${id}`);
  return found;
}

/** An element with attributes and children; children are elements or texts. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Writes only what has changed: nothing is selected away, nothing is read out again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Puts the children in this order, and moves only those that have to be moved. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

/**
 * Foreign text so that it can be seen and does nothing: control characters and what changes the direction of text stand
 * as `\x1b`.
 */
export function visible(text) {
  return text.replace(/(?![\t\u200C\u200D])[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return `\\x${code.toString(16).padStart(2, '0')}`;
  });
}
