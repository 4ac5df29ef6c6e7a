'use strict';

// A page to read the API's description and to try it. It takes everything from
// /openapi.json, and nothing from anywhere else.

const methods = ['get', 'post', 'put', 'delete'];
const tokenField = document.getElementById('token');
tokenField.value = sessionStorage.getItem('token') || '';
tokenField.addEventListener('change', () => sessionStorage.setItem('token', tokenField.value.trim()));

function element(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === 'onclick') e.addEventListener('click', value); else e.setAttribute(key, value);
  }
  e.append(...children);
  return e;
}

function resolve(spec, schema) {
  for (let depth = 0; schema && schema.$ref && depth < 20; depth++) {
    schema = schema.$ref.slice(2).split('/').reduce((at, key) => at && at[key], spec);
  }
  return schema || {};
}

// example makes a value of a schema, to be edited.
function example(spec, schema, depth = 0) {
  schema = resolve(spec, schema);
  if (schema.examples && schema.examples.length) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.enum && schema.enum.length) return schema.enum[0];
  const type = Array.isArray(schema.type) ? schema.type.find((t) => t !== 'null') : schema.type;
  switch (type) {
    case 'object': {
      const value = {};
      if (depth < 8) {
        for (const [name, property] of Object.entries(schema.properties || {})) {
          if (!property.readOnly) value[name] = example(spec, property, depth + 1);
        }
      }
      return value;
    }
    case 'array': return depth < 8 ? [example(spec, schema.items, depth + 1)] : [];
    case 'integer': case 'number': return schema.minimum !== undefined ? schema.minimum : 1;
    case 'boolean': return false;
  }
  return '';
}

function parameterFields(operation) {
  return (operation.parameters || []).filter((p) => p.in !== 'header').map((p) => {
    const schema = p.schema || {};
    const hint = [p.description, schema.enum && schema.enum.join(' | '), schema.default !== undefined && `default ${schema.default}`];
    const input = element('input', { placeholder: hint.filter(Boolean).join(' · ') });
    return { parameter: p, input, label: element('label', {}, `${p.name} (${p.in}${p.required ? ', required' : ''})`, input) };
  });
}

function bodyField(spec, operation) {
  const content = operation.requestBody && operation.requestBody.content;
  if (!content) return null;
  if (content['multipart/form-data']) {
    const input = element('input', { type: 'file' });
    return { label: element('label', {}, 'file ', input), read: () => {
      const form = new FormData();
      if (input.files[0]) form.append('file', input.files[0]);
      return { body: form };
    } };
  }
  const input = element('textarea', { spellcheck: 'false' });
  input.value = JSON.stringify(example(spec, content['application/json'].schema), null, 2);
  return { label: element('label', {}, 'body (JSON)', input), read: () => ({ body: input.value, type: 'application/json' }) };
}

async function send(method, path, fields, body, key, out) {
  let target = path;
  const query = new URLSearchParams();
  for (const { parameter, input } of fields) {
    const value = input.value.trim();
    if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value !== '') query.set(parameter.name, value);
  }
  if ([...query].length) target += `?${query}`;
  const request = { method: method.toUpperCase(), headers: {} };
  if (tokenField.value.trim()) request.headers.Authorization = `Bearer ${tokenField.value.trim()}`;
  if (key && key.value.trim()) request.headers['Idempotency-Key'] = key.value.trim();
  if (body) {
    const read = body.read();
    request.body = read.body;
    if (read.type) request.headers['Content-Type'] = read.type;
  }
  out.textContent = '…';
  const began = performance.now();
  try {
    const answer = await fetch(target, request);
    const text = await answer.text();
    let shown = text;
    try {
      const value = JSON.parse(text);
      if (value.token && path === '/sessions') {
        tokenField.value = value.token;
        sessionStorage.setItem('token', value.token);
      }
      shown = JSON.stringify(value, null, 2);
    } catch { /* it is no JSON: shown as it is */ }
    const headers = ['content-type', 'location', 'troupe-event', 'troupe-saga', 'retry-after']
      .filter((name) => answer.headers.get(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
    out.textContent = [`${request.method} ${target}`, `${answer.status} ${answer.statusText} in ${Math.round(performance.now() - began)} ms`,
      ...headers, '', shown].join('\n');
  } catch (error) {
    out.textContent = `${request.method} ${target}\n${error}`;
  }
}

function show(spec, path, method, operation) {
  const fields = parameterFields(operation);
  const body = bodyField(spec, operation);
  const key = method === 'get' ? null : element('input', { placeholder: 'optional: the same key and body are done once' });
  const out = element('pre', { hidden: '' });
  const button = element('button', { type: 'button', onclick: () => { out.hidden = false; send(method, path, fields, body, key, out); } }, 'Send');
  const open = !operation.security || operation.security.some((s) => !Object.keys(s).length);
  return element('details', { id: operation.operationId },
    element('summary', {}, element('code', {}, element('span', { class: 'method' }, method.toUpperCase()), path), operation.summary || ''),
    element('p', {}, operation.description || ''),
    element('p', { class: 'note' }, open ? 'For everybody.' : 'Needs a token.', ` Answers ${Object.keys(operation.responses || {}).join(', ')}.`),
    ...fields.map((f) => f.label),
    ...(body ? [body.label] : []),
    ...(key ? [element('label', {}, 'Idempotency-Key', key)] : []),
    button, out);
}

async function start() {
  const main = document.getElementById('operations');
  try {
    const spec = await (await fetch('/openapi.json')).json();
    const groups = new Map();
    for (const [path, item] of Object.entries(spec.paths)) {
      for (const method of methods.filter((m) => item[m])) {
        const tag = (item[method].tags || ['other'])[0];
        if (!groups.has(tag)) groups.set(tag, []);
        groups.get(tag).push(show(spec, path, method, item[method]));
      }
    }
    main.replaceChildren(...[...groups].flatMap(([tag, list]) => [element('h2', {}, tag), ...list]));
  } catch (error) {
    main.replaceChildren(element('p', {}, `The description cannot be read: ${error}`));
  }
}

start();
