"""Records: what is written about a tree on disk, and what it allows later.

Others use :mod:`.recording` (write and remove), :mod:`.recover` and :mod:`.recover_record` (act
upon records), :mod:`.report`, :mod:`.format` and :mod:`.trusted_files`.
"""
