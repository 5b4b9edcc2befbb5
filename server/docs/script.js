'use strict';

/* Renders /openapi.json. All text enters the page as text, never as markup. */

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const DEPTH_MAX = 4;
let api;

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function resolve(value) {
  while (value && value.$ref)
    value = value.$ref.slice(2).split('/').reduce((at, key) => at[key], api);
  return value || {};
}

/* The schema without its "or null", and whether it had one. */
function unwrap(schema) {
  const whole = resolve(schema);
  const other = (whole.anyOf || []).filter((choice) => choice.type !== 'null');
  if (!whole.anyOf || other.length === whole.anyOf.length)
    return { schema: whole, nullable: false };
  return {
    schema: other.length === 1 ? resolve(other[0]) : { ...whole, anyOf: other },
    nullable: true,
  };
}

function count(number) {
  return Math.abs(number) >= 2 ** 53 ? '2^63' : number.toLocaleString('en').replaceAll(',', '\u202f');
}

function range(schema, least, most, unit) {
  const low = schema[least];
  const high = schema[most];
  if (low === undefined && high === undefined) return '';
  if (low && high === undefined) return `, at least ${count(low)}${unit}`;
  if (!low && unit) return `, at most ${count(high)}${unit}`;
  return low === high ? `, ${count(low)}${unit}` : `, ${count(low || 0)} to ${count(high)}${unit}`;
}

function isId(schema) {
  return schema.type === 'string' && (schema.pattern || '').startsWith('^[0-9a-fA-F]{8}');
}

function typeText(raw, hideNull) {
  const { schema, nullable } = unwrap(raw);
  const orNull = nullable && !hideNull ? ' or null' : '';
  if (schema.enum) return schema.enum.join(', ') + orNull;
  if (schema.const !== undefined) return JSON.stringify(schema.const) + orNull;
  if (schema.anyOf) return schema.anyOf.map((choice) => typeText(choice)).join(', or ') + orNull;
  if (isId(schema)) return `id${orNull}`;
  if (schema.format === 'date-time') return `time (RFC 3339)${orNull}`;
  switch (schema.type) {
    case 'string':
      return `string${range(schema, 'minLength', 'maxLength', ' characters')}${orNull}`;
    case 'integer':
    case 'number':
      return `${schema.type}${range(schema, 'minimum', 'maximum', '')}${orNull}`;
    case 'array': {
      const items = unwrap(schema.items).schema;
      const of = schema.items && items.type !== 'object' ? ` of ${typeText(items)}` : '';
      return `array${of}${range(schema, 'minItems', 'maxItems', ' entries')}${orNull}`;
    }
    case 'object': {
      const values = unwrap(schema.additionalProperties).schema;
      const of = values.type === 'string' ? ' of strings' : '';
      return `object${of}${range(schema, 'minProperties', 'maxProperties', ' members')}${orNull}`;
    }
    default:
      return (schema.type || 'any value') + orNull;
  }
}

/* One row a field, those of nested objects below with their path. */
function fieldRows(raw, prefix, depth) {
  const { schema } = unwrap(raw);
  if (depth > DEPTH_MAX) return [];
  if (schema.type === 'array') return fieldRows(schema.items, `${prefix}[]`, depth + 1);
  return Object.entries(schema.properties || {}).flatMap(([name, field]) => {
    const path = prefix ? `${prefix}.${name}` : name;
    return [
      { path, field, required: (schema.required || []).includes(name), about: field.description },
      ...fieldRows(field, path, depth + 1),
    ];
  });
}

/* Of a request, what is not required may be left out, or null: `required` says it all. */
function fieldTable(rows, isRequest) {
  const body = rows.map((row) =>
    element('tr', {},
      element('td', { className: 'field' }, row.path,
        isRequest && row.required
          ? element('span', { className: 'required' }, ' required') : null),
      element('td', { className: 'type muted' }, typeText(row.field, isRequest)),
      element('td', {}, row.about || '')));
  const head = element('tr', {}, ...['Field', 'Type and range', 'Meaning'].map((text) =>
    element('th', { scope: 'col' }, text)));
  return element('div', { className: 'scroll' },
    element('table', {}, element('thead', {}, head), element('tbody', {}, ...body)));
}

function section(title, ...content) {
  return [element('h3', {}, title), ...content];
}

function parameterParts(operation) {
  const all = (operation.parameters || []).map(resolve);
  if (all.length === 0) return [];
  const rows = all.map((parameter) => ({
    path: parameter.name,
    field: parameter.schema,
    required: parameter.required,
    about: [`In the ${parameter.in}.`, parameter.description].filter(Boolean).join(' '),
  }));
  return section('Parameters', fieldTable(rows, true));
}

function jsonSchema(part) {
  return part && part.content && part.content['application/json']
    ? part.content['application/json'].schema : undefined;
}

function objectParts(title, schema, isRequest) {
  if (!schema) return [];
  const whole = unwrap(schema).schema;
  const rows = fieldRows(schema, '', 0);
  const kind = whole.type === 'array' ? `An ${typeText(whole)}` : '';
  if (rows.length === 0)
    return section(title, element('p', { className: 'muted' }, kind || 'An empty object.'));
  return section(title, kind ? element('p', { className: 'muted' }, kind) : null,
    fieldTable(rows, isRequest));
}

function answerParts(operation) {
  return Object.entries(operation.responses).filter(([status]) => Number(status) < 400)
    .flatMap(([status, raw]) => {
      const response = resolve(raw);
      const title = `Answer ${status}: ${response.description}`;
      const media = Object.keys(response.content || {}).filter((type) => type !== 'application/json');
      const note = media.length
        ? element('p', { className: 'muted' }, `Also as ${media.join(', ')}`) : null;
      if (!jsonSchema(response))
        return section(title, note || element('p', { className: 'muted' }, 'No body.'));
      return [...objectParts(title, jsonSchema(response), false), note];
    });
}

function errorParts(operation) {
  const items = Object.entries(operation.responses).filter(([status]) => Number(status) >= 400)
    .map(([status, raw]) => {
      const response = resolve(raw);
      const title = response.description;
      const narrow = response.content['application/problem+json'];
      const codes = narrow && narrow.schema.allOf
        ? narrow.schema.allOf[1].properties.code.enum.join(', ') : '';
      return element('li', { title }, `${status} ${codes}`);
    });
  return section('Errors', element('ul', { className: 'errors' }, ...items));
}

/* A small value that the schema allows. */
function example(raw, name, depth) {
  const { schema } = unwrap(raw);
  if (schema.examples) return schema.examples[0];
  if (schema.enum) return schema.enum[0];
  if (isId(schema)) return '0190f0c2a1b07c3d8e4f5a6b7c8d9e0f';
  if (schema.format === 'date-time') return '2030-01-02T03:04:05Z';
  if (schema.format === 'uri') return 'https://example.com/hook';
  switch (schema.type) {
    case 'integer':
    case 'number': return Math.max(schema.minimum || 0, Math.min(60, schema.maximum || 60));
    case 'boolean': return true;
    case 'array': return depth > 2 ? [] : [example(schema.items || {}, name, depth + 1)];
    case 'object': return exampleObject(schema, depth);
    default: return name || 'text';
  }
}

function exampleObject(schema, depth) {
  const required = schema.required || [];
  const names = Object.keys(schema.properties || {});
  const shown = required.length ? required : names.slice(0, 2);
  return Object.fromEntries(shown.map((name) =>
    [name, example(schema.properties[name], name, depth + 1)]));
}

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curl(method, path, operation) {
  const lines = [method === 'get' ? 'curl' : `curl -X ${method.toUpperCase()}`];
  const body = operation.requestBody && jsonSchema(operation.requestBody);
  lines[0] += ` "$ATOLL_URL${path.replaceAll(/\{([^}]*)\}/g, (_, name) => `$${name.toUpperCase()}`)}"`;
  if (operation.security.length) lines.push('-H "Authorization: Bearer $ATOLL_TOKEN"');
  if (body) {
    lines.push("-H 'Content-Type: application/json'");
    lines.push(`-d ${quote(JSON.stringify(example(body, '', 0)))}`);
  }
  return element('pre', {}, element('code', {}, lines.join(' \\\n     ')));
}

function operationElement(path, method, operation) {
  const request = operation.requestBody && jsonSchema(operation.requestBody);
  const title = operation.requestBody && !operation.requestBody.required
    ? 'Request (may be left out)' : 'Request';
  const made = element('details',
    { className: 'operation', id: operation.operationId || `${method}-${path}` },
    element('summary', {},
      element('span', { className: `method ${method}` }, method.toUpperCase()),
      element('span', { className: 'path' }, path),
      element('span', { className: 'summary' }, operation.summary),
      element('span', { className: 'role', title: 'the least role' }, operation['x-role'])));
  made.dataset.words = `${method} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase();
  /* Filled when it is opened first: a large page is slow on a phone. */
  made.addEventListener('toggle', () => {
    if (made.open && made.children.length === 1)
      made.append(element('div', { className: 'body' },
        ...parameterParts(operation), ...objectParts(title, request, true),
        ...answerParts(operation).filter(Boolean), ...errorParts(operation),
        ...section('Example', curl(method, path, operation))));
  });
  return made;
}

function operationsByTag() {
  const tags = new Map(api.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(api.paths))
    for (const method of METHODS.filter((name) => item[name]))
      tags.get(item[method].tags[0]).push(operationElement(path, method, item[method]));
  return tags;
}

function errorCodes() {
  const rows = Object.entries(api.components.responses).filter(([name]) => name !== 'Error')
    .sort().map(([name, response]) => element('tr', {},
      element('td', { className: 'field' }, name.slice('Error'.length)),
      element('td', {}, response.description)));
  return element('section', { id: 'errors' }, element('h2', {}, 'Errors'),
    element('p', { className: 'lead' },
      'Every error is application/problem+json (RFC 9457) with these fields; `code` is stable.'),
    fieldTable(fieldRows(api.components.schemas.Problem, '', 0), false),
    element('div', { className: 'scroll' }, element('table', {}, element('tbody', {}, ...rows))));
}

function filter(words) {
  for (const group of document.querySelectorAll('main section[data-tag]')) {
    let shown = 0;
    for (const operation of group.querySelectorAll('.operation')) {
      operation.hidden = !operation.dataset.words.includes(words.toLowerCase());
      shown += operation.hidden ? 0 : 1;
    }
    group.hidden = shown === 0;
  }
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === 'DETAILS') {
    target.open = true;
    target.scrollIntoView();
  }
}

function render() {
  const main = document.querySelector('main');
  const list = document.querySelector('nav ul');
  document.querySelector('#about').textContent = api.info.description;
  document.querySelector('#version').textContent = api.info.version;
  for (const [tag, operations] of operationsByTag()) {
    const group = element('section', { id: tag.replaceAll(' ', '-') },
      element('h2', {}, tag.replaceAll('-', ' ')), ...operations);
    group.dataset.tag = tag;
    main.append(group);
    list.append(element('li', {}, element('a', { href: `#${group.id}` }, tag)));
  }
  main.append(errorCodes());
  list.append(element('li', {}, element('a', { href: '#errors' }, 'errors')));
  document.querySelector('#search').addEventListener('input', (event) => filter(event.target.value));
  document.querySelector('#expand').addEventListener('click', () => setOpen(true));
  document.querySelector('#collapse').addEventListener('click', () => setOpen(false));
  addEventListener('hashchange', openTarget);
  openTarget();
}

function setOpen(open) {
  for (const operation of document.querySelectorAll('.operation:not([hidden])')) operation.open = open;
}

fetch('openapi.json')
  .then((response) => {
    if (!response.ok) throw new Error(`the answer is ${response.status}`);
    return response.json();
  })
  .then((document_) => {
    api = document_;
    render();
  })
  .catch((error) => {
    document.querySelector('#about').textContent = `The description cannot be loaded: ${error.message}`;
  });
