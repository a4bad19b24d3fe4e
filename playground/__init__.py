"""A page to touch trained models in the browser: what they can do (abilities), pictures in and out, the page itself."""
