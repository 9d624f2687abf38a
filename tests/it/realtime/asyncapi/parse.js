// Reads the document as AsyncAPI's own tools do, and prints what they find.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync("asyncapi.yaml", "utf8"));
// that there is a newer version of AsyncAPI is no fault of the document
for (const { code, path, message } of diagnostics.filter(({ code }) => code !== "asyncapi-latest-version")) {
  console.log(`${code}: ${path.join("/")}: ${message}`);
}
console.log(document ? `${document.allOperations().length} operations` : "no document");
