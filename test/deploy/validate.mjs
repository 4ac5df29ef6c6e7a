// Validates an AsyncAPI document with the official parser: node validate.mjs FILE.
// Prints one line per problem; exit code 1 where there is an error.
import { Parser, fromFile } from '@asyncapi/parser';

const parser = new Parser();
const { document, diagnostics } = await fromFile(parser, process.argv[2]).parse();
const severities = ['error', 'warning', 'information', 'hint'];
for (const d of diagnostics) {
  console.log(`${severities[d.severity]}: ${d.path.join('.')}: ${d.message}`);
}
if (!document || diagnostics.some((d) => d.severity === 0)) process.exit(1);
console.log(`valid AsyncAPI ${document.version()}: ${document.channels().all().length} channels, ${document.operations().all().length} operations, ${document.allMessages().all().length} messages`);
