// node validate.mjs ASYNCAPI MARKDOWN: an AsyncAPI document by the official
// parser, the Mermaid diagrams of a Markdown file by Mermaid's own. Prints one
// line per problem; exit code 1 where there is an error.
import { readFileSync } from 'node:fs';
import { Parser, fromFile } from '@asyncapi/parser';
import { JSDOM } from 'jsdom';

const parser = new Parser();
const { document, diagnostics } = await fromFile(parser, process.argv[2]).parse();
const severities = ['error', 'warning', 'information', 'hint'];
for (const d of diagnostics) {
  console.log(`${severities[d.severity]}: ${d.path.join('.')}: ${d.message}`);
}
if (!document || diagnostics.some((d) => d.severity === 0)) process.exit(1);
console.log(`AsyncAPI ${document.version()}: ${document.channels().all().length} channels, ${document.operations().all().length} operations, ${document.allMessages().all().length} messages`);

// Mermaid wants a page around it, though it only parses here.
globalThis.window = new JSDOM('').window;
globalThis.document = globalThis.window.document;
const { default: mermaid } = await import('mermaid');
let diagrams = 0;
for (const [, text] of readFileSync(process.argv[3], 'utf8').matchAll(/```mermaid\n([\s\S]*?)```/g)) {
  await mermaid.parse(text);
  diagrams++;
}
console.log(`Mermaid: ${diagrams} diagrams`);
if (diagrams === 0) process.exit(1);
