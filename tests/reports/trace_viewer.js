// Perfetto's engine, a web worker of its UI, in Node: stdin is what its port gets, stdout what it answers.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const folder = process.argv[2];

class XMLHttpRequest {
  open(method, url) {
    this.file = path.join(folder, path.basename(url));
  }
  send() {
    this.response = fs.readFileSync(this.file);
  }
}

// A context of its own: in one that has Node's globals the engine refuses to start.
const worker = vm.createContext({
  XMLHttpRequest,
  WorkerGlobalScope: class {},
  location: { href: "http://worker/" },
  console: { log: console.error, warn: console.error, error: console.error },
  port: { postMessage: (bytes) => fs.writeSync(1, bytes) },
  requests: fs.readFileSync(0),
  performance,
  setTimeout,
  TextDecoder,
  URL,
  crypto,
});
worker.self = worker;
const run = (script) => vm.runInContext(script, worker);

run(fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8"));
run("self.onmessage({ data: port })");
// The engine is ready once its promises have settled.
setImmediate(() => run("port.onmessage({ data: new Uint8Array(requests) })"));
