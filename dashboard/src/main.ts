// The dashboard's script. Every page can be read without it; values cannot be entered, since they are sealed here.
import { offerCopies } from "./copy";
import { followChanges } from "./live";
import { takeValues } from "./values";

const form = document.querySelector<HTMLFormElement>("form[data-sealing]");
if (form) takeValues(form);
followChanges();
offerCopies();
document.addEventListener("freshened", offerCopies);
