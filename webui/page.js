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
  const byId = (id) => document.getElementById(id);
  const make = (tag, attributes, text) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // ---- language -------------------------------------------------------------------------------------------------
  const firstLanguage = () => {
    const kept = store.get("language");
    if (languages.includes(kept)) return kept;
    const wanted = (navigator.languages || [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
    return wanted.find((tag) => languages.includes(tag)) || "en";
  };
  let language = firstLanguage();

  const say = (key, values = {}) => {
    const text = texts[language][key] || texts.en[key] || "";
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  };

  // A component with the id say-train-start shows train.start and train.start.*; o-lora_rank shows both texts of an option.
  const keysUnder = new Map();
  const keysOf = (id) => {
    if (!keysUnder.has(id)) {
      const name = id.replace(/-button$/, "");
      const base = name.startsWith("o-") ? "options." + name.slice(2) : name.slice(4).replaceAll("-", ".");
      keysUnder.set(id, Object.keys(texts.en).filter((key) => key === base || key.startsWith(base + ".")));
    }
    return keysUnder.get(id);
  };
  const keyOfText = (keys, text) => keys.find((key) => languages.some((lang) => texts[lang][key] === text));

  const ATTRIBUTES = ["placeholder", "aria-label", "title"];
  const translateWithin = (element, keys = keysOf(element.id)) => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.nodeValue.trim();
      const key = text && keyOfText(keys, text);
      if (key && text !== texts[language][key]) node.nodeValue = node.nodeValue.replace(text, () => texts[language][key]);
    }
    for (const each of [element, ...element.querySelectorAll("[placeholder],[aria-label],[title]")]) {
      for (const attribute of ATTRIBUTES) {
        const text = each.getAttribute(attribute);
        const key = text && keyOfText(keys, text);
        if (key && text !== texts[language][key]) each.setAttribute(attribute, texts[language][key]);
      }
    }
  };
  // Gradio's dropdowns have no placeholder of their own.
  const hintWithin = (element) => {
    const key = "page.placeholder." + element.id.slice(2);
    const input = texts.en[key] && element.querySelector("input, textarea");
    const text = input && element.querySelector(".token") ? "" : say(key);
    if (input && input.placeholder !== text) input.placeholder = text;
  };
  const translateTagged = (element) => {
    const text = say(element.dataset.say);
    if (text && element.textContent !== text) element.textContent = text;
  };
  const translate = () => {
    document.querySelectorAll("[id^='say-'],[id^='o-']").forEach((element) => translateWithin(element));
    // Gradio draws every tab's name a second time, without an id, to measure it.
    document.querySelectorAll("#tabs > .tab-wrapper").forEach((element) => translateWithin(element, keysOf("say-page-tab")));
    document.querySelectorAll("[id^='o-']").forEach(hintWithin);
    document.querySelectorAll("[data-say]").forEach(translateTagged);
    for (const attribute of ATTRIBUTES) {
      document.querySelectorAll(`[data-say-${attribute}]`).forEach((each) => {
        const text = say(each.getAttribute("data-say-" + attribute));
        if (each.getAttribute(attribute) !== text) each.setAttribute(attribute, text);
      });
    }
    if (document.documentElement.lang !== language) document.documentElement.lang = language;
  };

  // ---- light and dark --------------------------------------------------------------------------------------------
  const showShade = () => {
    const shade = store.get("shade") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    if (document.body.classList.contains("dark") !== (shade === "dark")) document.body.classList.toggle("dark");
  };
  const switchShade = () => {
    store.set("shade", document.body.classList.contains("dark") ? "light" : "dark");
    showShade();
  };

  // ---- marks: what is changed, what is hidden, what is wrong --------------------------------------------------------
  const blockOf = (name) => byId("o-" + name) || byId(name === "model_path" ? "say-page-model_path" : "say-train-" + name);
  const setClass = (element, name, on) => {
    if (element && element.classList.contains(name) !== on) element.classList.toggle(name, on);
  };
  // One extra child of a block, made when `html` is not empty, kept up to date, and taken away when it is.
  const setChild = (block, kind, html, title) => {
    let child = block.querySelector(`:scope > [data-mark="${kind}"]`);
    if (!html) return child && child.remove();
    if (!child) block.append((child = make(kind === "reset" ? "button" : "div", { "data-mark": kind })));
    if (child.tbHtml !== html) { child.innerHTML = html; child.tbHtml = html; }
    if (kind === "reset" && child.title !== title) {
      child.type = "button"; child.title = title; child.setAttribute("aria-label", title);
    }
    if (kind === "problem" && !child.hasAttribute("role")) child.setAttribute("role", "alert");
    return child;
  };
  const readMarks = () => {
    const element = document.querySelector("#marks [data-marks]");
    return element ? JSON.parse(element.dataset.marks) : null;
  };
  // Nobody can choose among no accelerators.
  const isAway = (name) => name === "devices" && Boolean(document.querySelector("#devices-line [data-without]"));
  const readProblems = () => {
    const found = {};
    document.querySelectorAll("#problems [data-field]").forEach((each) => {
      found[each.dataset.field] = (found[each.dataset.field] || "") + each.querySelector(".said").outerHTML;
    });
    return found;
  };
  const markBlock = (block, name, facts) => {
    setClass(block, "tb-changed", name in facts.changed);
    setChild(block, "reset", name in facts.changed ? "↺" : "", say("train.reset", { value: facts.changed[name] }));
  };
  const markFold = (fold, count, key) => {
    const title = fold.querySelector(".label-wrap");
    if (title) setChild(title, "count", count ? say("train.changed", { count }) : "");
    const name = key && title && title.querySelector(":scope > span");
    if (name && name.textContent !== say(key)) name.firstChild.nodeValue = say(key);
  };
  // A fold whose controls belong to several methods is called as the chosen one.
  const titleOf = (panel, facts) => "train.panel." + ((facts.titles || {})[panel] || panel);
  const mark = () => {
    const facts = readMarks();
    if (!facts) return;
    const wrong = readProblems();
    const blocks = [...document.querySelectorAll("#top [id^='o-'], #train [id^='o-']"), blockOf("extra"), blockOf("model_path")];
    for (const block of blocks) {
      if (!block) continue;
      const name = block.id.replace(/^(o|say-train|say-page)-/, "");
      setClass(block, "tb-hidden", facts.hidden.includes(name) || isAway(name));
      setClass(block, "tb-wrong", name in wrong);
      markBlock(block, name, facts);
      setChild(block, "problem", wrong[name] || "");
    }
    const prefix = "say-train-panel-";
    document.querySelectorAll(`[id^='${prefix}']`).forEach((fold) => {
      const panel = fold.id.slice(prefix.length);
      markFold(fold, facts.panels[panel], titleOf(panel, facts));
      setClass(fold, "tb-hidden", (facts.folded || []).includes(panel));
    });
  };
  // The fold of another tab, whose marks name it: `facts.names` are its controls.
  const markElsewhere = () => {
    document.querySelectorAll("[data-marks][data-fold]").forEach((each) => {
      const facts = JSON.parse(each.dataset.marks);
      const fold = byId(each.dataset.fold);
      if (!fold) return;
      markFold(fold, Object.keys(facts.changed).length);
      for (const name of facts.names) {
        const block = fold.querySelector(`#say-options-${name}, #o-${name}`);
        if (block) markBlock(block, name, facts);
      }
    });
  };

  // ---- the way to a setting ------------------------------------------------------------------------------------------
  const panels = window.tuneboardPanels;
  const whenThere = (id, act, tries = 60) => {
    const element = blockOf(id);
    if (element && element.offsetParent) return act(element);
    if (tries) requestAnimationFrame(() => whenThere(id, act, tries - 1));
  };
  const goTo = (name) => {
    const fold = byId("say-train-panel-" + panels[name]);
    const content = fold && fold.querySelector("[data-testid='accordion-content']");
    if (content && getComputedStyle(content).display === "none") fold.querySelector(".label-wrap").click();
    whenThere(name, (element) => {
      element.scrollIntoView({ block: "center" });
      const control = element.querySelector("input:not([type=range]), textarea, select");
      if (control) control.focus({ preventScroll: true });
      element.classList.add("tb-found");
      setTimeout(() => element.classList.remove("tb-found"), 1600);
    });
  };
  const search = (input) => {
    const list = byId("found");
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const facts = readMarks() || { hidden: [] };
    const hidden = facts.hidden;
    const hits = words.length
      ? Object.keys(panels).filter((name) => !hidden.includes(name) && !isAway(name)).filter((name) => {
        const label = say(`options.${name}.label`) || say(`train.${name}.label`);
        const text = [name, name.replaceAll("_", " "), label, say(`options.${name}.help`)].join(" ").toLowerCase();
        return words.every((word) => text.includes(word));
      }).slice(0, 8)
      : [];
    list.replaceChildren(...hits.map((name) => {
      const item = make("li", { role: "option", tabindex: "-1", "data-go": name });
      item.append(make("b", {}, say(`options.${name}.label`) || say(`train.${name}.label`)), make("code", {}, name),
        make("span", {}, say(titleOf(panels[name], facts))));
      return item;
    }));
    if (words.length && !hits.length) list.append(make("li", { class: "none" }, say("train.search_none")));
    list.hidden = !words.length;
    input.setAttribute("aria-expanded", String(Boolean(words.length)));
  };
  const closeSearch = () => { const list = byId("found"); if (list) list.hidden = true; };
  const walkSearch = (event) => {
    const items = [...document.querySelectorAll("#found [data-go]")];
    if (event.key === "Escape") { closeSearch(); return byId("find").focus(); }
    if (!items.length) return;
    if (event.key === "Enter") {
      event.preventDefault();
      return (event.target.id === "find" ? items[0] : event.target).click();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const place = items.indexOf(document.activeElement) + step;
    (items[place] || byId("find")).focus();
  };

  // ---- presses ---------------------------------------------------------------------------------------------------------
  // A double click is one wish: presses as close as those of one, and all while an answer is out, carry the same token.
  // Each Start button has its own: one may be pressed while the answer to another is out.
  const pressed = {};
  let insisted = false;
  const insist = () => { insisted = true; byId("say-train-start").click(); };
  // While all rows are being counted, the page asks how far it is.
  let asking = 0;
  const recount = () => {
    if (asking || !document.querySelector("#counts [data-counting]")) return;
    asking = setTimeout(() => { asking = 0; window.tuneboard.recount(); }, 1200);
  };
  // While the accelerators of the machine are looked for, a page whose fold is open asks what was found.
  let lookingAgain = 0;
  const lookAgain = () => {
    const line = document.querySelector("#devices-line [data-looking]");
    if (lookingAgain || !line || !line.offsetParent) return;
    lookingAgain = setTimeout(() => { lookingAgain = 0; window.tuneboard.lookAgain(); }, 800);
  };
  const press = (given, id = "say-train-start") => {
    const now = Date.now();
    const mine = (pressed[id] ||= { token: "", at: 0, out: false });
    if (!mine.out && now - mine.at > 600) {
      mine.token = Array.from(crypto.getRandomValues(new Uint32Array(4)), (each) => each.toString(16)).join("");
    }
    mine.at = now;
    mine.out = true;
    busy(id);
    given[0] = mine.token;
    if (id === "say-train-start") { given[1] = insisted ? "yes" : ""; insisted = false; }
    return given;
  };
  // A pressed button shows at once that it was; the answer, or a minute without one, sets it free.
  const busy = (id) => {
    const button = byId(id);
    if (!button) return;
    setClass(button, "tb-busy", true);
    clearTimeout(button.tbFree);
    button.tbFree = setTimeout(() => release(id), 60000);
  };
  const release = (id) => {
    if (pressed[id]) pressed[id].out = false;
    setClass(byId(id), "tb-busy", false);
  };
  // The choices of a menu after a new one: some exclude all others.
  const settle = (chosen, alone) => {
    const last = chosen[chosen.length - 1];
    if (alone.includes(last)) return chosen.length > 1 ? [last] : chosen;
    return chosen.some((each) => alone.includes(each)) ? chosen.filter((each) => !alone.includes(each)) : chosen;
  };
  const two = (number) => String(number).padStart(2, "0");
  const runName = () => {
    const now = new Date();
    const parts = [now.getMonth() + 1, now.getDate(), now.getHours(), now.getMinutes(), now.getSeconds()];
    return "train_" + [now.getFullYear(), ...parts.map(two)].join("-");
  };
  const save = (text) => {
    release("say-train-save");
    if (!text) return;
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/yaml" })), download: "tuneboard.yaml" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const copy = async (button) => {
    const source = button.closest(".command").querySelector("pre");
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Without https there is no clipboard; a selection can still be copied.
      getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
    button.textContent = say("train.copied");
    setTimeout(() => { button.textContent = say("train.copy"); }, 1500);
  };
  // A file dropped anywhere on the left column is loaded as if it had been chosen with the button.
  const dropped = (event) => {
    const file = event.dataTransfer && event.dataTransfer.files[0];
    if (!file || !event.target.closest("#decide")) return;
    event.preventDefault();
    const input = byId("say-train-load").parentElement.querySelector("input[type=file]");
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // ---- one look at the page per frame ------------------------------------------------------------------------------
  let waiting = false;
  const look = () => {
    waiting = false;
    translate();
    mark();
    markElsewhere();
    recount();
    lookAgain();
    observer.takeRecords();
  };
  const observer = new MutationObserver(() => {
    if (!waiting) { waiting = true; requestAnimationFrame(look); }
  });
  const begin = () => {
    showShade();
    observer.observe(document.body, { childList: true, subtree: true, characterData: true });
    // Gradio follows the system's shade when it mounts; the person's own choice holds.
    new MutationObserver(showShade).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    look();
  };
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (target.closest("[data-do='shade']")) switchShade();
    if (target.closest("[data-do='insist']")) insist();
    if (target.closest("[data-do='copy']")) copy(target.closest("[data-do='copy']"));
    const tool = target.closest("#say-train-preview, #say-train-command, #say-train-save");
    if (tool) busy(tool.id);
    const command = document.querySelector("#said .command");
    if (command && (tool || target.closest("[data-do='dismiss']"))) setClass(command, "tb-hidden", !tool);
    const go = target.closest("[data-go]");
    if (go) { closeSearch(); goTo(go.dataset.go); } else if (!target.closest("#search")) closeSearch();
    const reset = target.closest("[data-mark='reset']");
    if (reset) {
      event.preventDefault();
      const name = reset.parentElement.id.replace(/^(o|say-train|say-options)-/, "");
      const { resets } = window.tuneboard;
      const fold = Object.keys(resets).find((id) => byId(id)?.contains(reset));
      (fold ? resets[fold] : window.tuneboard.reset)(name);
    }
    const turn = target.closest("[data-turn]");
    if (turn && turn.getAttribute("aria-disabled") !== "true") {
      busy("say-train-preview");
      window.tuneboard.turn(Number(turn.dataset.turn));
    }
  });
  // Typing into a menu looks for another choice: what stands there now would only be in the way.
  document.addEventListener("focusin", (event) => {
    if (event.target.matches("input[role='combobox']")) requestAnimationFrame(() => event.target.select());
  });
  document.addEventListener("input", (event) => { if (event.target.id === "find") search(event.target); });
  document.addEventListener("keydown", (event) => { if (event.target.closest("#search")) walkSearch(event); });
  document.addEventListener("dragover", (event) => { if (event.target.closest("#decide")) event.preventDefault(); });
  document.addEventListener("drop", dropped);

  window.tuneboard = {
    say, press, release, runName, save, settle, resets: {},
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
