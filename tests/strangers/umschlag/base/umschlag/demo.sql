insert into shipments (id, carrier) values (1, 'nordfracht'), (2, 'nordfracht'), (3, 'alpin')
on conflict do nothing;
insert into shipment_lines values
    (1, 1, 1, 'PAL-100', 4, 812.5), (1, 1, 2, 'BOX-7', 30, 96),
    (1, 2, 1, 'PAL-100', 5, 1015.625), (1, 2, 2, 'BOX-7', 30, 96),
    (2, 1, 1, 'COIL-3', 1, 4300), (3, 1, 1, 'BOX-9', 12, 31.2)
on conflict do nothing;
