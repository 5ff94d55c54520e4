import '@flashline/shared/tokens.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { setDensity } from './density';

setDensity(document, location.search);

const target = document.getElementById('app');
if (target === null) throw new Error('the page has no #app');
mount(App, { target });
