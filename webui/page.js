// What the page does without the server: its language, light and dark, the marks beside the controls, the search box.
//
// Gradio draws and redraws the page; this script only corrects what is there. It changes text nodes in place, because
// Gradio's framework keeps references to them, and it runs again (at most once per frame) whenever the page changes.
(() => {
  "use strict";
  const texts = window.tuneboardTexts;
  const languages = Object.keys(texts);
  const store = {
    get: (name) => { try { return localStorage.getItem("tuneboard." + name); } catch { return null; } },
    set: (name, value) => { try { localStorage.setItem("tuneboard." + name, value); } catch { /* private window */ } },
  };

  const firstLanguage = () => {
    const kept = store.get("language");
    if (languages.includes(kept)) return kept;
    const wanted = (navigator.languages || [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
    return wanted.find((tag) => languages.includes(tag)) || "en";
  };
  let language = firstLanguage();

  const say = (key, values) => {
    const text = texts[language][key] || texts.en[key] || "";
    return values ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole)) : text;
  };

  // ---- language -------------------------------------------------------------------------------------------------
  // A component with the id say-train-start shows train.start and train.start.*; o-lora_rank shows both texts of an option.
  const keysUnder = new Map();
  const keysOf = (id) => {
    if (!keysUnder.has(id)) {
      const base = id.startsWith("o-") ? "options." + id.slice(2) : id.slice(4).replaceAll("-", ".");
      keysUnder.set(id, Object.keys(texts.en).filter((key) => key === base || key.startsWith(base + ".")));
    }
    return keysUnder.get(id);
  };
  const keyOfText = (keys, text) => keys.find((key) => languages.some((lang) => texts[lang][key] === text));

  const ATTRIBUTES = ["placeholder", "aria-label", "title"];
  const translateWithin = (element) => {
    const keys = keysOf(element.id);
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.nodeValue.trim();
      const key = text && keyOfText(keys, text);
      if (key && text !== say(key)) node.nodeValue = node.nodeValue.replace(text, () => say(key));
    }
    for (const each of [element, ...element.querySelectorAll("[placeholder],[aria-label],[title]")]) {
      for (const attribute of ATTRIBUTES) {
        const text = each.getAttribute(attribute);
        const key = text && keyOfText(keys, text);
        if (key && text !== say(key)) each.setAttribute(attribute, say(key));
      }
    }
  };
  const hintWithin = (element) => {
    const key = "page.placeholder." + element.id.slice(2);
    const input = texts.en[key] && element.querySelector("input, textarea");
    if (input && input.placeholder !== say(key)) input.placeholder = say(key);
  };
  const translateTagged = (element) => {
    const text = say(element.dataset.say);
    if (text && element.textContent !== text) element.textContent = text;
  };
  const translate = () => {
    document.querySelectorAll("[id^='say-'],[id^='o-']").forEach(translateWithin);
    document.querySelectorAll("[id^='o-']").forEach(hintWithin);
    document.querySelectorAll("[data-say]").forEach(translateTagged);
    for (const attribute of ATTRIBUTES) {
      document.querySelectorAll(`[data-say-${attribute}]`).forEach((each) => {
        const text = say(each.getAttribute("data-say-" + attribute));
        if (each.getAttribute(attribute) !== text) each.setAttribute(attribute, text);
      });
    }
    document.documentElement.lang = language;
  };

  // ---- light and dark --------------------------------------------------------------------------------------------
  const showShade = () => {
    const shade = store.get("shade") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.body.classList.toggle("dark", shade === "dark");
  };
  const switchShade = () => {
    store.set("shade", document.body.classList.contains("dark") ? "light" : "dark");
    showShade();
  };

  // ---- one look at the page per frame ------------------------------------------------------------------------------
  const looks = [translate];
  let waiting = false;
  const look = () => {
    waiting = false;
    looks.forEach((each) => each());
    observer.takeRecords();
  };
  const observer = new MutationObserver(() => {
    if (!waiting) { waiting = true; requestAnimationFrame(look); }
  });
  const begin = () => {
    showShade();
    observer.observe(document.body, { childList: true, subtree: true, characterData: true });
    look();
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-do='shade']")) switchShade();
  });

  window.tuneboard = {
    say,
    language: () => language,
    speak: (wanted) => {
      if (!languages.includes(wanted)) return;
      language = wanted;
      store.set("language", wanted);
      look();
    },
  };
  if (document.body) begin(); else document.addEventListener("DOMContentLoaded", begin);
})();
