// What a page says in its reader's language. Before every other script: `_` says a sentence, `_n` one
// that counts, `N_` marks one that is said later. The server puts the texts into the page (#words);
// one that it has no translation of, and every one in English, stays as it is written.
"use strict";
const spoken = JSON.parse(document.getElementById("words").textContent);
const pluralRules = new Intl.PluralRules(document.documentElement.lang);

const filled = (text, places) => text.replace(/\{(\w+)\}/g, (place, name) => (name in places ? places[name] : place));
const N_ = (message) => message;
const _ = (message, places = {}) => filled((spoken.messages[message] || [message])[0], places);
function _n(singular, plural, n, places = {}) {
  const forms = spoken.messages[singular] || [singular, plural];
  const form = spoken.plurals[pluralRules.select(n)] ?? forms.length - 1;
  return filled(forms[Math.min(form, forms.length - 1)], { n, ...places });
}

const decimal = (value, nDigits) => value.toFixed(nDigits).replace(".", spoken.point);
const percent = (frac, nDigits = 1) => (frac === null || frac === undefined ? "–" : decimal(100 * frac, nDigits) + spoken.percent);
