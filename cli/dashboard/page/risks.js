// What is at risk, on top. It is read out when it is another than before, not when only its numbers grow.

import { arrange, byId, make, setAttribute, setText, visible } from './dom.js';

const SHOWN = 6;

let news = '';
const items = [];

export function showRisks({ stream, receivers, hosts, moreRisks }) {
  const risks = [...stream.risks, ...[...receivers, ...hosts].flatMap((row) => row.risks)];
  const count = risks.length + moreRisks;
  const title = count === 0 ? 'No data is at risk' : count === 1 ? '1 risk' : `${count} risks`;
  setText(byId('risks-title'), title);
  setAttribute(byId('risks-title').parentElement, 'data-level', count === 0 ? 'ok' : 'bad');
  const texts = risks.slice(0, SHOWN).map(visible);
  if (count > texts.length && texts.length > 0) texts.push(`and ${count - texts.length} more`);
  while (items.length < texts.length) items.push(make('li'));
  texts.forEach((text, index) => setText(items[index], text));
  arrange(byId('risks'), items.slice(0, texts.length));
  document.title = count === 0 ? 'logferry' : `(${count}) logferry`;
  const told = [title, ...texts].join('. ');
  const kind = told.replace(/\d+/g, '');
  if (kind !== news) setText(byId('risk-news'), told);
  news = kind;
}
