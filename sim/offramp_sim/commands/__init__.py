"""The commands of ``offramp``, one module each; the module's ``command`` is what runs."""
