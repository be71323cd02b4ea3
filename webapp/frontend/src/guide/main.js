// The decision guide's pages. They work without this script; with it answers are kept in this
// browser as they come in, the strip follows them, and the address can be sent to somebody.
import "../../styles/guide.css";
import { keepArrived, listenToAnswers } from "./answers.js";
import { offerDraft } from "./draft.js";
import { followAddress, followLinks } from "./links.js";
import { listenToForms } from "./navigation.js";
import { arrive, onArrival } from "./page.js";
import { listenToPrinting } from "./printing.js";

onArrival(offerDraft);
onArrival(keepArrived);
listenToForms();
listenToAnswers();
followLinks();
listenToPrinting();
arrive();
followAddress();
